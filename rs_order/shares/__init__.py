"""Shares: who starts next when the capacity of the service is used up, and the weights (waiting.md T2)."""
