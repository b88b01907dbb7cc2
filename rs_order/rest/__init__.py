"""The parts of the REST interface that all endpoints share (rest.md 1 to 4)."""
