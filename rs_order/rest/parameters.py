"""Request parameters: path variables (rest.md 2.3), paging and sorting (rest.md 3.4)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import unquote

from fastapi import Depends, Header, Path, Query
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
    """Return the plain text of a date that a client wrote into a path (rest.md 6.5).

    Clients may quote the date and encode it twice, and decoding may have turned a ``+`` into a space.
    """
    return unquote(value).strip('"').replace(" ", "+") if isinstance(value, str) else value


SelectionDateInPath = Annotated[
    Instant, BeforeValidator(_date_in_path), Path(alias="itemsSelectionDate")
]
AcceptLanguage = Annotated[
    str, Header(alias="Accept-Language", description="Language of the texts: `en` or `fr`.")
]
TenantInPath = Annotated[str, Path(alias="tenant", examples=["project1"])]


MAX_SIZE: Final = 2000


@dataclass(frozen=True, slots=True)
class Sort:
    """A property to sort by, and the direction."""

    property: str
    descending: bool = False

    def __str__(self) -> str:
        return f"{self.property},{'desc' if self.descending else 'asc'}"


@dataclass(frozen=True, slots=True)
class Paging:
    """The number of a page, counted from 0, its size, and the properties to sort by."""

    page: int
    size: int
    sort: tuple[Sort, ...] = ()

    @property
    def offset(self) -> int:
        return self.page * self.size


def paging(default_size: int, *default_sort: Sort) -> Any:
    """Return the FastAPI dependency for a parameter ``Annotated[Paging, …]``.

    A value that can't be read gets the default. No value is rejected here. The dependency is a coroutine
    because FastAPI runs plain functions in a thread.
    """
    return Depends(_paging_reader(default_size, default_sort))


def _paging_reader(
    default_size: int, default_sort: tuple[Sort, ...]
) -> Callable[..., Awaitable[Paging]]:
    async def read_paging(
        page: Annotated[
            str | None,
            Query(description="Counted from 0. A value that isn't a number is read as 0."),
        ] = None,
        size: Annotated[
            str | None,
            Query(description=f"Items per page, at most {MAX_SIZE}; default {default_size}."),
        ] = None,
        sort: Annotated[
            list[str] | None, Query(description="`property,asc` or `property,desc`; repeatable.")
        ] = None,
    ) -> Paging:
        requested = tuple(_sort(text) for text in sort or () if text.split(",")[0].strip())
        return Paging(
            page=_number(page, least=0, default=0),
            size=min(_number(size, least=1, default=default_size), MAX_SIZE),
            sort=requested or default_sort,
        )

    return read_paging


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
    """Return the properties to sort by, as the store names them.

    Raises:
        HttpError: 400 for an unknown property. The message lists the known ones.
    """
    unknown = [sort.property for sort in paging.sort if sort.property not in set(properties)]
    if unknown:
        raise HttpError(
            400, f"sort: there is no property {unknown[0]}; there are {', '.join(properties)}"
        )
    return [SortBy(properties(sort.property), sort.descending) for sort in paging.sort]
