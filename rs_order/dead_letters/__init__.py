"""Lists, replays, corrects and discards dead letters for operators (architecture.md 8)."""
