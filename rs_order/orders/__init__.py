"""Orders: creation, automatic orders, end, search and representation."""
