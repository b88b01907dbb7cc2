"""Actions: users pause, resume, delete, remove, restart and retry orders (rest.md 7.6, domain.md 12)."""
