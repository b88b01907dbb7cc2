"""The pages beside the present one of a list."""

from dataclasses import dataclass
from urllib.parse import urlencode


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The addresses of the pages before and after; None if there is none."""

    previous: str | None
    next: str | None
    text: str = ""
    """Which page it is."""


def neighbours(
    address: str, filters: dict[str, str], page: int, last: int, text: str
) -> Neighbours:
    """Return the pages beside a numbered one.

    Args:
        address: of the list, without its query.
        filters: the parameters that stay; empty ones are left out.
        page: the present one, from 1.
        last: the last one.
        text: says which page it is.
    """

    def of(number: int) -> str:
        kept = {name: value for name, value in filters.items() if value}
        return f"{address}?{urlencode({**kept, 'page': number})}"

    return Neighbours(
        of(page - 1) if page > 1 else None, of(page + 1) if page < last else None, text
    )
