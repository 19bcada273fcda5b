"""What people see: the table on the terminal, the advice, the pictures, the progress bar."""
