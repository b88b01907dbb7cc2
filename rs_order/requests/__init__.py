"""Order requests from other services: accepted, decided, answered (amqp.md 2)."""
