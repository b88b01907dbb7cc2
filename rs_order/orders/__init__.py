"""Orders: created, applied, ended, searched and shown."""
