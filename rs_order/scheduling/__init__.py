"""Scheduling: starts the next sub-orders, and requests their files from storage (domain.md 6)."""
