"""The version of the package, for records and files that say what made them. It stands here alone."""

__version__ = "0.1.0"
