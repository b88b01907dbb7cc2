"""Web pages for people: why an order waits, what stands still, and how to mend it (console.md)."""
