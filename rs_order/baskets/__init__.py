"""Baskets: the interactive basket of a user (domain.md 3)."""
