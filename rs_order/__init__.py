"""RS-ORDER: the order service of a space-data archive."""

__version__ = "0.1.0"
