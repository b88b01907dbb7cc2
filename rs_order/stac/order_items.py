"""Orders items of STAC or a quote, or finds the order that has them already (faces.md S-4 to S-8, Q-6).

Clients give up waiting and come again, each time with a new request for the same. So an equal order is the
answer, and the catalog is only asked if there is none.
"""

import asyncio
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, Final

import orjson
import structlog

from rs_order.concurrency import in_slices
from rs_order.core.catalog_datasets import CatalogDatasets, call_concurrently
from rs_order.core.errors import InvalidInput, ItemsRejected
from rs_order.core.links import Links
from rs_order.core.product_searches import search_of_urns, searches_of
from rs_order.domain.errors import PatternRejectedError
from rs_order.domain.events import OrderDoor
from rs_order.domain.files import ORDERABLE, FileFilter, FileKind, compile_pattern, kind_of
from rs_order.domain.identity import Caller
from rs_order.domain.ids import OrderId, Urn
from rs_order.domain.order import generated_label
from rs_order.domain.selection import DatasetSelection, SelectionRequest, files_in
from rs_order.orders.create import (
    WithOrder,
    begin_order,
    free_label,
    generated_correlation_id,
    order_label,
)
from rs_order.orders.quoted import QuotedSelections
from rs_order.ports import PRODUCTS_AT_A_TIME, Catalog, Clock, RemoteRejection, RemoteUnavailable
from rs_order.rest.keyed_requests import MAX_OWNER
from rs_order.store.orders import NewOrder
from rs_order.store.stac import ItemOrder, StacViews
from rs_order.store.unit_of_work import Store, UnitOfWork, retry_on_conflict

REUSED_FOR: Final = timedelta(hours=1)
"""An order that expires sooner isn't reused: its owner might not have the time to download it."""
MOST_UNKNOWN: Final = 100
"""The most unknown items that an order names."""
MOST_NAMED: Final = 10
"""The most items that an error names."""
_PAGE: Final = 1000

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted(ABC):
    """What to order."""

    label: str | None = None
    """None or empty: one is generated."""
    reuse: bool = True

    @property
    @abstractmethod
    def request(self) -> dict[str, Any]:
        """The body that orders the same again."""

    @property
    def fingerprint(self) -> bytes:
        """Equal for requests of the same files."""
        return hashlib.sha256(orjson.dumps(self.request, option=orjson.OPT_SORT_KEYS)).digest()


@dataclass(frozen=True, slots=True)
class WantedItems(_Wanted):
    """Files of items."""

    items: Sequence[str]
    """URNs, or names of providers; each once."""
    kinds: frozenset[FileKind] = frozenset({FileKind.RAWDATA})
    name_pattern: str | None = None

    @property
    def request(self) -> dict[str, Any]:
        body: dict[str, Any] = {"items": sorted(self.items), "dataTypes": sorted(self.kinds)}
        return {**body, "filenameRegExp": self.name_pattern} if self.name_pattern else body


@dataclass(frozen=True, slots=True)
class WantedQuote(_Wanted):
    """The files of a quote of the caller."""

    quote: str
    """The id of the quote."""

    @property
    def request(self) -> dict[str, Any]:
        return {"quoteId": self.quote}


Wanted = WantedItems | WantedQuote


@dataclass(frozen=True, slots=True)
class OrderedItems:
    """The order that has the items."""

    order_id: OrderId
    new: bool
    """False: it was there before."""


@dataclass(frozen=True, slots=True)
class _Found:
    selections: tuple[DatasetSelection, ...]
    unknown: Sequence[str] = field(default=())


class OrderItems:
    """Orders items or a quote as their caller, who waits meanwhile."""

    def __init__(
        self,
        store: Store,
        views: StacViews,
        catalog: Catalog,
        datasets: CatalogDatasets,
        quoted: QuotedSelections,
        *,
        links: Links,
        clock: Clock,
        catalog_timeout_seconds: float,
    ) -> None:
        self._store = store
        self._views = views
        self._catalog = catalog
        self._datasets = datasets
        self._quoted = quoted
        self._links = links
        self._clock = clock
        self._catalog_timeout_seconds = catalog_timeout_seconds

    async def handle(
        self, caller: Caller, wanted: Wanted, with_order: WithOrder | None = None
    ) -> OrderedItems:
        """Return a new order of what is wanted, or an equal one of the caller.

        Args:
            caller: the owner of the order.
            wanted: what to order.
            with_order: called in the unit of work of a new order.

        Raises:
            InvalidInput: there are no items, or the pattern can't be read.
            ItemsRejected: none of the items has a file that the caller may order, the catalog rejects the
                search, or it gives no answer in time.
            UnknownQuote, QuoteRejected, QuoteChanged: the quote can't be ordered.
            LabelRejected: the label is too long, or the caller has an order of this label.
        """
        if isinstance(wanted, WantedItems):
            await _check(wanted)
        owner = caller.email[:MAX_OWNER]
        if wanted.reuse:
            expires_after = self._clock.now() + REUSED_FOR
            known = await self._views.reusable(
                caller.tenant, owner, wanted.fingerprint, expires_after
            )
            if known is not None:
                return OrderedItems(known, new=False)
        found = (
            await self._search(caller, wanted)
            if isinstance(wanted, WantedItems)
            else _Found(await self._quoted.of(caller, wanted.quote))
        )
        await self._links.learn_if_possible(caller.tenant)
        return await retry_on_conflict(
            lambda: self._create(caller, owner, wanted, found, with_order)
        )

    async def _search(self, caller: Caller, wanted: WantedItems) -> _Found:
        """Return what the catalog has of the items.

        Raises:
            ItemsRejected: it has no file of them, or gives no answer.
        """
        try:
            async with asyncio.timeout(self._catalog_timeout_seconds):
                found = await self._found(caller, wanted)
        except (RemoteUnavailable, TimeoutError) as error:
            cause = str(error) or f"no answer within {self._catalog_timeout_seconds:g} s"
            log.warning("catalog-unavailable", tenant=caller.tenant, cause=cause)
            raise ItemsRejected(
                "The catalog gave no usable answer; nothing was ordered. Try again later.",
                code="catalog-unreachable",
            ) from error
        except RemoteRejection as error:
            raise ItemsRejected(
                "The catalog rejects the search for the items; nothing was ordered. Check their ids.",
                code="search-rejected",
            ) from error
        counted = [kind for kind in ORDERABLE if kind_of(kind) in wanted.kinds]
        if not any(files_in(selection.types, counted) for selection in found.selections):
            named = ", ".join(wanted.items[:MOST_NAMED])
            more = "…" if len(wanted.items) > MOST_NAMED else ""
            kinds = " or ".join(sorted(wanted.kinds))
            raise ItemsRejected(
                f"There is no {kinds} that you may order of {named}{more}. Nothing was ordered. Check the "
                "ids, and whether you have the rights to the files.",
                code="nothing-to-order",
            )
        return found

    async def _found(self, caller: Caller, wanted: WantedItems) -> _Found:
        at = self._clock.now()
        urns = [Urn(item) for item in wanted.items if item.startswith("URN:")]
        names = [item for item in wanted.items if not item.startswith("URN:")]
        searches = searches_of(names, at)
        if urns:
            searches = [search_of_urns(urns, at), *searches]
        summaries = await call_concurrently(partial(self._datasets.found, caller), searches)
        selections = await self._datasets.selections(
            caller,
            list(zip(searches, summaries, strict=True)),
            FileFilter(wanted.kinds, wanted.name_pattern),
        )
        products = sum(summary.products for summary in summaries)
        if products == len(wanted.items) and not (urns and names):
            return _Found(selections)
        return _Found(selections, await self._unknown(caller, wanted.items, searches))

    async def _unknown(
        self, caller: Caller, items: Sequence[str], searches: Sequence[SelectionRequest]
    ) -> Sequence[str]:
        """Return the first items that no product of the searches has as its URN or name."""
        known: set[str | None] = set()
        for page in range(-(-2 * len(items) // _PAGE)):
            found = await self._catalog.search(caller, searches, page=page, size=_PAGE)
            async for some in in_slices(found.products, PRODUCTS_AT_A_TIME):
                known.update(name for one in some for name in (one.urn, one.provider_id))
            if len(found.products) < _PAGE:
                break
        return [item for item in items if item not in known][:MOST_UNKNOWN]

    async def _create(
        self,
        caller: Caller,
        owner: str,
        wanted: Wanted,
        found: _Found,
        with_order: WithOrder | None,
    ) -> OrderedItems:
        now = self._clock.now()
        made_of = ItemOrder(owner, wanted.fingerprint, wanted.request, found.unknown)

        async def recorded(uow: UnitOfWork, order_id: OrderId) -> None:
            await uow.item_orders.record(order_id, made_of)
            if with_order is not None:
                await with_order(uow, order_id)

        async with self._store.unit_of_work(caller.tenant) as uow:
            if wanted.reuse:
                await uow.item_orders.lock(owner, wanted.fingerprint)
                known = await uow.item_orders.reusable(owner, wanted.fingerprint, now + REUSED_FOR)
                if known is not None:
                    return OrderedItems(known, new=False)
            settings = await uow.settings()
            label = (
                await order_label(uow, owner, wanted.label, now)
                if wanted.label
                else await free_label(uow, owner, generated_label(now))
            )
            new = NewOrder(
                owner=owner,
                role=caller.role,
                label=label,
                correlation_id=generated_correlation_id(),
                request_id=None,
                sub_order_hours=settings.user_sub_order_hours,
                created_at=now,
                door=OrderDoor.STAC,
                selections=found.selections,
            )
            return OrderedItems(await begin_order(uow, new, recorded), new=True)


async def _check(wanted: WantedItems) -> None:
    """Check what is wanted without asking anybody.

    Raises:
        InvalidInput: it breaks a rule.
    """
    if not wanted.items:
        raise InvalidInput("items: name at least one product")
    if not wanted.kinds:
        raise InvalidInput("dataTypes: name RAWDATA, QUICKLOOK or both")
    if wanted.name_pattern:
        try:
            await asyncio.to_thread(compile_pattern, wanted.name_pattern)
        except PatternRejectedError as error:
            raise InvalidInput(f"filenameRegExp: {error}") from error
