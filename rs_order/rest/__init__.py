"""The frame of the REST interface (rest.md 1 to 4)."""
