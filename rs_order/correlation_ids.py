"""The correlation id of the present request or message.

It is part of each log line, and is passed on to the steps and the remote calls that the request causes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog

CORRELATION_HEADER: Final = "correlation-id"
"""The gateway adds it to each request (rest.md 1.2)."""
_LONGEST_CORRELATION_ID: Final = 255
_CORRELATION_ID: Final = "correlation_id"


def correlation_id() -> str | None:
    """Return the correlation id of the present request or message."""
    found: str | None = structlog.contextvars.get_contextvars().get(_CORRELATION_ID)
    return found


@contextmanager
def correlated(id_: str | None) -> Iterator[None]:
    """Make this the correlation id of what happens in the context, unless it is unusable in a header."""
    usable = id_ is not None and id_.isascii() and id_.isprintable()
    if not id_ or not usable or len(id_) > _LONGEST_CORRELATION_ID:
        yield
        return
    with structlog.contextvars.bound_contextvars(**{_CORRELATION_ID: id_}):
        yield
