"""Images on the disk and in memory: decoding, resizing, archives, prepared sets, splits and subsets."""
