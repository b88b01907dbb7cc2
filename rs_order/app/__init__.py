"""The composition root: builds the parts of a process and connects them."""
