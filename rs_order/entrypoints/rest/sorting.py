"""From what a client wants a list to be sorted by to what it can be sorted by (rest.md 3.4)."""

from enum import StrEnum
from typing import TypeVar

from rs_order.entrypoints.rest.errors import Refused
from rs_order.entrypoints.rest.paging import Paging
from rs_order.store.lists import SortBy

Property = TypeVar("Property", bound=StrEnum)


def sorted_by(paging: Paging, properties: type[Property]) -> list[SortBy[Property]]:
    """What the page is sorted by.

    Raises:
        Refused: 400 for a property that there isn't, naming those that there are.
    """
    unknown = [sort.property for sort in paging.sort if sort.property not in set(properties)]
    if unknown:
        raise Refused(
            400, f"sort: there is no property {unknown[0]}; there are {', '.join(properties)}"
        )
    return [SortBy(properties(sort.property), sort.descending) for sort in paging.sort]
