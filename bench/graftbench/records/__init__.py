"""Cells and their records, without torch: reports, comparisons and the command line read these alone."""
