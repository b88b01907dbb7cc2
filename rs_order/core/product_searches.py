"""Makes searches of the ids of products: those of the catalog, and those of providers (domain.md 3.4)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from rs_order.domain.ids import Urn
from rs_order.domain.selection import SelectionRequest

GROUP: Final = 100
"""The most ids of providers in one search. Each search becomes one dated selection."""


def searches_of(ids: Sequence[str], at: datetime) -> list[SelectionRequest]:
    """Return searches for the last versions of the products, each with a group of ids of providers."""
    return [SelectionRequest.of_query(query, at) for query in queries_of(ids)]


def queries_of(ids: Sequence[str]) -> list[str]:
    """Return queries for the last versions of the products, each with a group of ids of providers."""
    return [_query(ids[start : start + GROUP]) for start in range(0, len(ids), GROUP)]


def search_of_urns(urns: Sequence[Urn], at: datetime) -> SelectionRequest:
    """Return the search for these products."""
    return SelectionRequest(engine_type="legacy", selection_date=at, include=tuple(urns))


def _query(ids: Sequence[str]) -> str:
    return f"last=true AND providerId=({' OR '.join(_quoted(id_) for id_ in ids)})"


def _quoted(id_: str) -> str:
    """Return an id as a quoted term of Lucene, whatever characters it has."""
    escaped = id_.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
