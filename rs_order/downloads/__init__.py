"""Downloads: single files, zips and metalinks (rest.md 10, domain.md 11)."""
