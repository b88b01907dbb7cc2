"""Moving in: takes over the database of a Java service (moving-in.md, decision 0060)."""
