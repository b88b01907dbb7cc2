"""Orders what was quoted: the same searches as of the time of the quote (faces.md Q-6)."""

import asyncio
from functools import partial

from rs_order.contracts.quote_bodies import quote_id_of
from rs_order.core.catalog_datasets import CatalogDatasets, call_concurrently
from rs_order.core.errors import QuoteChanged, QuoteRejected, UnknownQuote
from rs_order.core.links import Links
from rs_order.domain.events import OrderDoor
from rs_order.domain.identity import Caller
from rs_order.domain.ids import OrderId
from rs_order.domain.order import generated_label
from rs_order.domain.quotes import QuoteState, differs, total_of
from rs_order.domain.selection import DatasetSelection
from rs_order.orders.create import (
    OrderOptions,
    WithOrder,
    begin_order,
    free_label,
    generated_correlation_id,
    order_label,
)
from rs_order.ports import Clock, RemoteRejection, RemoteUnavailable
from rs_order.requests.accept import MAX_USER
from rs_order.store.orders import NewOrder
from rs_order.store.unit_of_work import Store, UnitOfWork, retry_on_conflict

CATALOG_SECONDS = 50.0
"""Below the 60 seconds after which the gateway gives up."""


class QuotedSelections:
    """Finds the selections of quotes, and checks that the catalog still counts the same in them."""

    def __init__(self, store: Store, datasets: CatalogDatasets, clock: Clock) -> None:
        self._store = store
        self._datasets = datasets
        self._clock = clock

    async def of(self, caller: Caller, name: str) -> tuple[DatasetSelection, ...]:
        """Return the selections of a quote of the caller.

        Raises:
            UnknownQuote: the caller has no quote with this id.
            QuoteRejected: it isn't ready, has failed or expired, or has no file; or the catalog gives no
                answer.
            QuoteChanged: the catalog now counts more than 1 % more or less files or bytes.
        """
        selections = await self._find(caller, name)
        try:
            async with asyncio.timeout(CATALOG_SECONDS):
                now = await call_concurrently(partial(self._counted, caller), selections)
        except RemoteRejection as error:
            raise QuoteRejected(
                "The catalog rejects the search of the quote. Quote again.", code="search-rejected"
            ) from error
        except (RemoteUnavailable, TimeoutError) as error:
            raise QuoteRejected(
                "The catalog gave no usable answer; nothing was ordered. Try again later.",
                code="catalog-unreachable",
            ) from error
        before, after = total_of(selections), total_of(now)
        if differs(before, after):
            raise QuoteChanged(before, after)
        return selections

    async def _counted(self, caller: Caller, selection: DatasetSelection) -> DatasetSelection:
        union = await self._datasets.union(caller, selection.urn, selection.requests)
        return selection.counted(union)

    async def _find(self, caller: Caller, name: str) -> tuple[DatasetSelection, ...]:
        """Return the selections of a quote that can be ordered.

        Raises:
            UnknownQuote, QuoteRejected: it can't.
        """
        known, owner = quote_id_of(name), caller.email[:MAX_USER]
        found = known and await self._store.quote(caller.tenant, owner, known)
        if not found:
            raise UnknownQuote(name)
        now = self._clock.now()
        quote = found.at(now)
        if now >= quote.valid_until:
            raise QuoteRejected(
                f"The quote {name} could be ordered until {quote.valid_until:%Y-%m-%d %H:%M:%S} (UTC). "
                "Quote again.",
                code="quote-expired",
            )
        if quote.state is QuoteState.AT_WORK:
            raise QuoteRejected(f"The quote {name} is being made.", code="quote-not-ready")
        if quote.failure is not None:
            raise QuoteRejected(
                f"The quote {name} failed ({quote.failure}). Quote again.", code="quote-failed"
            )
        if not quote.selections:
            raise QuoteRejected(f"The quote {name} has no file.", code="nothing-to-order")
        return quote.selections


class OrderQuote:
    """Turns a quote into an order. The caller's basket isn't changed."""

    def __init__(self, store: Store, quoted: QuotedSelections, links: Links, clock: Clock) -> None:
        self._store = store
        self._quoted = quoted
        self._links = links
        self._clock = clock

    async def handle(
        self,
        caller: Caller,
        name: str,
        options: OrderOptions | None,
        *,
        applicative: bool = False,
        correlation_id: str | None = None,
        with_order: WithOrder | None = None,
    ) -> OrderId:
        """Create the order; steps read its files from the catalog later.

        Args:
            caller: the owner of the quote.
            name: the id of the quote.
            options: the caller's options for the order; None: those of an automatic order.
            applicative: storage keeps the files as long as for automatic orders.
            correlation_id: of the caller; None: a generated one.
            with_order: called in the unit of work of the order.

        Raises:
            UnknownQuote, QuoteRejected, QuoteChanged: the quote can't be ordered.
            LabelRejected: the label is too long, or the caller has an order of this label.
        """
        selections = await self._quoted.of(caller, name)
        await self._links.learn_if_possible(caller.tenant)

        async def create() -> OrderId:
            now = self._clock.now()
            async with self._store.unit_of_work(caller.tenant) as uow:
                settings = await uow.settings()
                automatic = options is None or applicative
                return await begin_order(
                    uow,
                    NewOrder(
                        owner=caller.email[:MAX_USER],
                        role=caller.role,
                        label=await self._label(uow, caller, options),
                        correlation_id=correlation_id or generated_correlation_id(),
                        request_id=None,
                        sub_order_hours=settings.app_sub_order_hours
                        if automatic
                        else settings.user_sub_order_hours,
                        created_at=now,
                        door=OrderDoor.APPLY if options is None else OrderDoor.BASKET,
                        selections=selections,
                        front_url=options.front_url if options else None,
                    ),
                    with_order,
                )

        return await retry_on_conflict(create)

    async def _label(self, uow: UnitOfWork, caller: Caller, options: OrderOptions | None) -> str:
        owner, now = caller.email[:MAX_USER], self._clock.now()
        if options is None:
            return await free_label(uow, owner, generated_label(now))
        return await order_label(uow, owner, options.label, now)
