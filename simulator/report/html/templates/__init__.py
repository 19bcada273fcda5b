"""Templates, stylesheet and script of the pages; data, no code."""
