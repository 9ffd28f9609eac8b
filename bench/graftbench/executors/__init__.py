"""Ways to execute cells: `local` is the default."""
