"""Clients of the platform's services (remote-services.md)."""
