"""Neural network parts that every method shares, one small file each."""
