"""Actions of users on their orders (rest.md 7.6, domain.md 12)."""
