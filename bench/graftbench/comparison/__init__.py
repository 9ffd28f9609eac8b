"""Comparing methods over seeds and tasks: intervals, paired tests, ranks, data efficiency. NumPy and SciPy only.

Docstrings of the files name their sources; docs/statistics.md says how often the intervals cover.
"""
