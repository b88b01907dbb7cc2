"""One slice of baskets: those of users, and those that orders have consumed."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rs_order.moving_in.orders import utc
from rs_order.moving_in.rules import Rule, Tally
from rs_order.moving_in.selections import choice_of, request_of, totals_of
from rs_order.store.moved_orders import Rows

_OF_ORDER: Final = re.compile(r"ORDER_([0-9]{1,18})")
_OF_RESTART: Final = re.compile(r"RESTART_ORDER_[0-9]+")
_BASKETS: Final = ("id", "owner", "order_id")
_SELECTIONS: Final = (
    "id",
    "basket_id",
    "dataset_urn",
    "dataset_label",
    "products_count",
    "files_count",
    "files_bytes",
    "type_totals",
    "file_kinds",
    "file_name_pattern",
    "process_id",
    "process_parameters",
)
_SEARCHES: Final = (
    "dataset_selection_id",
    "selection_date",
    "position",
    "request",
    "products_count",
    "type_totals",
)


def order_of(owner: str) -> int | None:
    """Return the order that has consumed a basket, by the owner of the basket (B16)."""
    found = _OF_ORDER.fullmatch(owner)
    return int(found[1]) if found else None


@dataclass(slots=True)
class _Selection:
    row: Any
    searches: list[tuple[Any, dict[str, Any]]] = field(default_factory=list)


class BasketSlice:
    """The baskets of a slice, from their rows to those that are written here."""

    def __init__(self, tally: Tally, owners_of_orders: dict[int, str]) -> None:
        """``owners_of_orders``: the owners of the orders that have consumed baskets of the slice."""
        self._tally = tally
        self._owners = owners_of_orders
        self._baskets: dict[int, tuple[int, str, int | None]] = {}
        self._left_out: set[int] = set()
        self._selections: dict[int, _Selection] = {}

    def add_baskets(self, rows: Sequence[Any]) -> None:
        """Take the baskets. The owner of a consumed one is that of its order."""
        for row in rows:
            order = order_of(row["owner"])
            if _OF_RESTART.fullmatch(row["owner"]) or (order and order not in self._owners):
                self._tally.went("baskets", "", None, Rule.BASKET_WITHOUT_ORDER)
                self._tally.found(Rule.BASKET_WITHOUT_ORDER, row["id"])
                self._left_out.add(row["id"])
                continue
            owner = row["owner"] if order is None else self._owners[order]
            self._baskets[row["id"]] = (row["id"], owner, order)
            self._tally.went("baskets", "", "")

    def add_selections(self, rows: Sequence[Any], searches: Sequence[Any]) -> None:
        """Take the dataset selections of these baskets, with their searches."""
        of_selection: dict[int, list[Any]] = defaultdict(list)
        for search in searches:
            of_selection[search["basket_dataset_id"]].append(search)
        first: dict[tuple[int, str], _Selection] = {}
        for row in rows:
            found = of_selection[row["id"]]
            if row["basket_id"] in self._left_out:
                self._leave_out(row, found, Rule.BASKET_WITHOUT_ORDER, note=False)
            if row["basket_id"] not in self._baskets:
                continue  # without a basket it is a stray
            readable = self._readable(found)
            if not readable:
                self._leave_out(row, (), Rule.SELECTION_WITHOUT_SEARCH)
                continue
            known = first.get((row["basket_id"], row["dataset_ip_id"]))
            if known is not None:
                self._leave_out(row, (), Rule.SELECTION_TWICE)
                known.searches += readable
                continue
            selection = _Selection(row, readable)
            first[row["basket_id"], row["dataset_ip_id"]] = selection
            self._selections[row["id"]] = selection
            self._tally.went("dataset_selections", "", "")

    def _readable(self, searches: Sequence[Any]) -> list[tuple[Any, dict[str, Any]]]:
        """Return the searches that can be read, each with its request."""
        found = []
        for search in searches:
            at = utc(search["date"])
            request = request_of(search["selection_request"], at) if at else None
            if request is None:
                self._tally.went("dated_selections", "", None, Rule.SEARCH_UNREADABLE)
                self._tally.found(Rule.SEARCH_UNREADABLE, search["basket_dataset_id"])
            else:
                self._tally.went("dated_selections", "", "")
                found.append((search, request))
        return found

    def _leave_out(
        self, row: Any, searches: Sequence[Any], rule: Rule, *, note: bool = True
    ) -> None:
        self._tally.went("dataset_selections", "", None, rule)
        for _ in searches:
            self._tally.went("dated_selections", "", None, rule)
        if note:
            self._tally.found(rule, row["id"])

    async def write(self, to: Rows) -> None:
        """Write the baskets with all that is in them."""
        await to.copy("basket", _BASKETS, list(self._baskets.values()))
        selections, searches = [], []
        for selection in self._selections.values():
            selections.append(self._selection_record(selection.row))
            for position, (search, request) in enumerate(selection.searches):
                searches.append(
                    (
                        selection.row["id"],
                        utc(search["date"]),
                        position,
                        request,
                        search["objects_count"] or 0,
                        totals_of(search["file_types_count"], search["file_types_sizes"]),
                    )
                )
        await to.copy("dataset_selection", _SELECTIONS, selections)
        await to.copy("dated_selection", _SEARCHES, searches)

    def _selection_record(self, row: Any) -> tuple[Any, ...]:
        choice = choice_of(
            row["file_selection_description"],
            row["process_dataset_desc"],
            self._tally,
            row["id"],
        )
        return (
            row["id"],
            row["basket_id"],
            row["dataset_ip_id"],
            row["dataset_label"],
            row["objects_count"] or 0,
            row["files_count"] or 0,
            row["files_size"] or 0,
            totals_of(row["file_types_count"], row["file_types_sizes"]),
            choice.kinds,
            choice.pattern,
            choice.process_id,
            choice.parameters,
        )
