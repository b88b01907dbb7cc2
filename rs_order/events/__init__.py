"""The log of events, and the doors by which it is read."""
