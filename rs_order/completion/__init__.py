"""Completion: the catalog is read into an order, page by page (domain.md 4)."""
