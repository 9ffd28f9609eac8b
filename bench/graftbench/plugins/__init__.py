"""Finds plugins: the registry, variants, configurations, and the hash of the code that a cell depends on."""
