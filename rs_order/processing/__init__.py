"""Processing: rs-processing works on files before their download (domain.md 8)."""
