"""Mails to users (domain.md 10.2, 16.2)."""
