"""What the selftest looks at, one file each: a function `look(bench)` that yields findings."""
