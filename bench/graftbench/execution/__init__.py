"""Runs cells: from a planned cell to its record, on executors, with trackers beside them."""
