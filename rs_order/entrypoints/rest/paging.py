"""Which page of a list is asked for (rest.md 3.4)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends, Query

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


_LARGEST: Final = 2**31 - 1


def _number(text: str | None, *, least: int, default: int) -> int:
    try:
        number = int(text or "")
    except ValueError:
        return default
    return min(number, _LARGEST) if number >= least else default
