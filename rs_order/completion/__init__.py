"""Completion: reads the files of an order from the catalog, page by page (domain.md 4)."""
