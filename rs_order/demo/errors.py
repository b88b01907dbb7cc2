"""The error that ends the demo. A problem of one order belongs to the outcome of its case instead."""


class DemoError(Exception):
    """The demo can't continue. The text says what to do."""

    code = "demo-error"
