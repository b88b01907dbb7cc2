"""Pages of lists and their sort order. No other module builds SQL from parts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

Item = TypeVar("Item")
Property = TypeVar("Property", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Listed(Generic[Item]):
    """A page of a list, and the length of the list."""

    total: int
    items: Sequence[Item]


@dataclass(frozen=True, slots=True)
class SortBy(Generic[Property]):
    """One property that a list is sorted by."""

    property: Property
    descending: bool = False


def sorted_statement(
    statement: str,
    clause: str,
    columns: Mapping[Property, str],
    sort: Sequence[SortBy[Property]],
    *,
    last: str,
) -> str:
    """Return the statement with its ``order by`` clause replaced by another.

    No input of a caller becomes SQL: a property selects one of the columns.

    Args:
        statement: contains ``clause``, once or more.
        clause: to be replaced.
        columns: by property.
        sort: most significant first; empty: the statement doesn't change.
        last: the unique column that orders equal rows, in the direction of the column before.
    """
    if not sort:
        return statement
    terms: dict[str, bool] = {}
    for one in sort:
        terms.setdefault(columns[one.property], one.descending)
    terms.setdefault(last, sort[-1].descending)
    listed = ", ".join(
        f"{column} desc" if descending else column for column, descending in terms.items()
    )
    return statement.replace(clause, f"order by {listed}")
