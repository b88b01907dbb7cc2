"""Processing: starts processes of rs-processing on ordered files, and applies their results (domain.md 8)."""
