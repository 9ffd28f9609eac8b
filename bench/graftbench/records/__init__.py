"""What a cell is and what it left, without torch: reports, comparisons and the command line read these alone."""
