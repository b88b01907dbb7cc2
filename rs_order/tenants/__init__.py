"""Tenants: connected, configured, put in maintenance."""
