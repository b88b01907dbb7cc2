"""Shows users why an order isn't further, and who can change it (faces.md 10)."""
