"""Subscriptions to events: clients that read and acknowledge, and webhooks (faces.md 4.2, 4.3)."""
