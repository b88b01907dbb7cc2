"""Starting child processes."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interruptible_children() -> Iterator[None]:
    """Let the processes that are started in this block receive SIGINT.

    A shell starts jobs in the background with SIGINT ignored, and children inherit that. A handler isn't
    inherited: with one in place, a child starts with the default action.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
