"""Mails to users: when there is one, what it says, and that it leaves once (domain.md 10.2, 16.2)."""
