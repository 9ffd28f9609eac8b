"""The networks behind the extractors, one file each. Importing one of them imports torch."""
