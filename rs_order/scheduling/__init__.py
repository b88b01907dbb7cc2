"""Scheduling: the next sub-orders start, and storage is asked for their files (domain.md 6)."""
