"""Holds: operators stop new requests to storage for a tenant, a user or an order (waiting.md T3)."""
