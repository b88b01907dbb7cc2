"""The catalog asked by a person: what goes wrong is told at once (decisions.md, REST)."""

from collections.abc import Iterator
from contextlib import contextmanager

from rs_order.application.errors import CatalogSearchFailed
from rs_order.ports.errors import RemoteRefusal, RemoteTrouble


@contextmanager
def searching() -> Iterator[None]:
    """Searches of a basket.

    Raises:
        CatalogSearchFailed: the catalog refused, failed, or answered what can't be read (rest.md 6.1).
        RemoteTrouble: it gave no answer at all.
    """
    try:
        yield
    except RemoteRefusal as error:
        raise CatalogSearchFailed from error
    except RemoteTrouble as error:
        if error.answered:
            raise CatalogSearchFailed from error
        raise
