"""Parameters of requests: variables of paths (rest.md 2.3), pages and sorting (rest.md 3.4)."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import unquote

from fastapi import Depends, Path, Query
from pydantic import BeforeValidator

from rs_order.contracts.wire import INT64, Instant
from rs_order.rest.errors import HttpError
from rs_order.store.lists import SortBy


def _id(name: str) -> Any:
    return Path(alias=name, ge=-INT64 - 1, le=INT64, examples=[12])


OrderIdInPath = Annotated[int, _id("orderId")]
DatasetTaskIdInPath = Annotated[int, _id("datasetId")]
SubOrderIdInPath = Annotated[int, _id("filesTaskId")]
DataFileIdInPath = Annotated[int, _id("dataFileId")]
DatasetSelectionIdInPath = Annotated[int, _id("datasetSelectionId")]


def _date_in_path(value: Any) -> Any:
    """A date as clients put it there (rest.md 6.5).

    It may be in quotes and encoded once more, and a ``+`` may have become a space on its way.
    """
    return unquote(value).strip('"').replace(" ", "+") if isinstance(value, str) else value


SelectionDateInPath = Annotated[
    Instant, BeforeValidator(_date_in_path), Path(alias="itemsSelectionDate")
]
TenantInPath = Annotated[str, Path(alias="tenant", examples=["project1"])]


MAX_SIZE: Final = 2000


@dataclass(frozen=True, slots=True)
class Sort:
    """One property to sort by."""

    property: str
    descending: bool = False

    def __str__(self) -> str:
        return f"{self.property},{'desc' if self.descending else 'asc'}"


@dataclass(frozen=True, slots=True)
class Paging:
    """A page, counted from 0, and what the list is sorted by."""

    page: int
    size: int
    sort: tuple[Sort, ...] = ()

    @property
    def offset(self) -> int:
        return self.page * self.size


def paging(default_size: int, *default_sort: Sort) -> Any:
    """The dependency of an endpoint that answers pages, for a parameter ``Annotated[Paging, …]``.

    Nothing a client writes is refused: what can't be read counts as not written.
    """
    return Depends(_reader(default_size, default_sort))


def _reader(default_size: int, default_sort: tuple[Sort, ...]) -> Callable[..., Paging]:
    def read(
        page: Annotated[
            str | None, Query(description="Counted from 0; what isn't a number counts as 0.")
        ] = None,
        size: Annotated[
            str | None,
            Query(description=f"Items of a page, at most {MAX_SIZE}; default {default_size}."),
        ] = None,
        sort: Annotated[
            list[str] | None, Query(description="`property,asc` or `property,desc`; repeatable.")
        ] = None,
    ) -> Paging:
        wanted = tuple(_sort(text) for text in sort or () if text.split(",")[0].strip())
        return Paging(
            page=_number(page, least=0, default=0),
            size=min(_number(size, least=1, default=default_size), MAX_SIZE),
            sort=wanted or default_sort,
        )

    return read


def _sort(text: str) -> Sort:
    name, _, direction = text.partition(",")
    return Sort(name.strip(), descending=direction.strip().lower() == "desc")


_LARGEST_NUMBER: Final = 2**31 - 1


def _number(text: str | None, *, least: int, default: int) -> int:
    try:
        number = int(text or "")
    except ValueError:
        return default
    return min(number, _LARGEST_NUMBER) if number >= least else default


Property = TypeVar("Property", bound=StrEnum)


def sorted_by(paging: Paging, properties: type[Property]) -> list[SortBy[Property]]:
    """What the page is sorted by.

    Raises:
        HttpError: 400 for a property that there isn't, naming those that there are.
    """
    unknown = [sort.property for sort in paging.sort if sort.property not in set(properties)]
    if unknown:
        raise HttpError(
            400, f"sort: there is no property {unknown[0]}; there are {', '.join(properties)}"
        )
    return [SortBy(properties(sort.property), sort.descending) for sort in paging.sort]
