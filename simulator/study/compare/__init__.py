"""What differs between runs: figures with intervals, paired where they may be, and settings."""
