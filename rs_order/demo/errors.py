"""What keeps the demo from running at all; what an order does wrong is a problem of its case."""


class DemoError(Exception):
    """The demo can't go on. The text says what to do."""

    code = "demo-error"
