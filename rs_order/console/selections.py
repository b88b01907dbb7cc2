"""Reads the form of a selection to be quoted: queries, ids of products, and a filter of files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from rs_order.console.texts import Texts
from rs_order.contracts.order_messages import OrderRequest
from rs_order.core.product_searches import queries_of
from rs_order.domain.files import FileKind

MOST_IDS: Final = 1000
MOST_QUERIES: Final = 20
LONGEST_ID: Final = 255
LONGEST_QUERY: Final = 4000
LONGEST_PATTERN: Final = 255
KINDS: Final = tuple(FileKind)
_URN: Final = "URN:"


class Unusable(Exception):
    """Nothing can be quoted with what was entered; each problem is a sentence in the visitor's language."""

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems: Sequence[str] = problems


@dataclass(frozen=True, slots=True)
class Selection:
    """The content of the form of the page *New order*."""

    queries: str = ""
    """One on each line."""
    ids: str = ""
    """Ids of products as their providers gave them, one on each line."""
    kinds: Sequence[str] = KINDS
    pattern: str = ""
    """RE2, on the whole name of a file."""

    @classmethod
    def of_request(cls, request: Mapping[str, Any]) -> "Selection":
        """Return what asks for the same as an order request on the wire."""
        filters = request.get("filters") or {}
        return cls(
            queries="\n".join(request.get("queries") or ()),
            kinds=tuple(filters.get("dataTypes") or KINDS),
            pattern=filters.get("filenameRegExp") or "",
        )

    def request(self, texts: Texts) -> OrderRequest:
        """Return the order request.

        Raises:
            Unusable: rules are broken.
        """
        queries, ids = _lines(self.queries), list(dict.fromkeys(_lines(self.ids)))
        problems = [*_problems_of(queries, ids, texts), *self._problems(texts)]
        if problems:
            raise Unusable(*problems)
        wire: dict[str, Any] = {"queries": [*queries, *queries_of(ids)]}
        if set(self.kinds) != set(KINDS) or self.pattern:
            wire["filters"] = {
                "dataTypes": list(self.kinds),
                "filenameRegExp": self.pattern or None,
            }
        try:
            return OrderRequest.model_validate(wire)
        except ValidationError as error:
            raise Unusable(texts("new-order.unreadable")) from error

    def _problems(self, texts: Texts) -> list[str]:
        return [] if self.kinds else [texts("new-order.no-kind")]


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _problems_of(queries: Sequence[str], ids: Sequence[str], texts: Texts) -> list[str]:
    found = []
    if not queries and not ids:
        found.append(texts("new-order.nothing-entered"))
    if len(queries) > MOST_QUERIES:
        found.append(texts("new-order.too-many-queries", number=len(queries), most=MOST_QUERIES))
    if any(len(one) > LONGEST_QUERY for one in queries):
        found.append(texts("new-order.long-query", most=LONGEST_QUERY))
    if len(ids) > MOST_IDS:
        found.append(texts("new-order.too-many-ids", number=len(ids), most=MOST_IDS))
    long = next((one for one in ids if len(one) > LONGEST_ID), None)
    if long is not None:
        found.append(texts("new-order.long-id", id=long[:30], most=LONGEST_ID))
    urn = next((one for one in ids if one.startswith(_URN)), None)
    if urn is not None:
        found.append(texts("new-order.urn", id=urn[:80]))
    return found
