"""Orders a quote once: the form of its page may be sent twice, and at the same time."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from rs_order.contracts.quote_bodies import quote_name
from rs_order.core.errors import LabelRejected
from rs_order.domain.identity import Caller
from rs_order.domain.ids import OrderId
from rs_order.orders.create import OrderOptions
from rs_order.orders.quoted import OrderQuote
from rs_order.ports import Clock
from rs_order.requests.accept import MAX_USER
from rs_order.rest.keyed_requests import ABANDONED_AFTER
from rs_order.store.keyed_requests import KeptAnswer, KeyedRequest, KnownRequest
from rs_order.store.quotes import StoredQuote
from rs_order.store.unit_of_work import Store, UnitOfWork

_ENDPOINT: Final = "POST /console/quotes/{quoteId}/order"
_SEE_OTHER: Final = 303


class _Twin(Exception):
    """The same form, sent at the same time, has ordered the quote; nothing more is ordered."""


@dataclass(frozen=True, slots=True)
class QuoteOrder:
    """The order that was made of a quote."""

    id: OrderId
    first: bool
    """False: an earlier form has ordered the quote."""


class OrderQuoteOnce:
    """Orders quotes. The quote's id is the key of the request, kept in the commit of the order.

    Whoever wants the same files again orders the order again.
    """

    def __init__(self, store: Store, order: OrderQuote, clock: Clock) -> None:
        self._store = store
        self._order = order
        self._clock = clock

    async def order_of(self, caller: Caller, quote: StoredQuote) -> OrderId | None:
        """Return the order that the caller made of a quote on its page, or None."""
        async with self._store.unit_of_work(caller.tenant) as uow:
            known = await uow.keyed_requests.find(_keyed(caller, quote))
        return known.answer.order_id if known and known.answer else None

    async def order(self, caller: Caller, quote: StoredQuote, label: str | None) -> QuoteOrder:
        """Order a quote, with the life that it says, unless that was done before.

        Raises:
            UnknownQuote, QuoteRejected, QuoteChanged: the quote can't be ordered.
            LabelRejected: the label is too long, or the caller has an order of this label.
        """
        before = await self.order_of(caller, quote)
        if before is None:
            try:
                return QuoteOrder(await self._ordered(caller, quote, label), first=True)
            except (_Twin, LabelRejected):  # the twin has the label, too
                before = await self.order_of(caller, quote)
                if before is None:
                    raise
        return QuoteOrder(before, first=False)

    async def _ordered(self, caller: Caller, quote: StoredQuote, label: str | None) -> OrderId:
        async def keep(uow: UnitOfWork, order_id: OrderId) -> None:
            now = self._clock.now()
            claim = await uow.keyed_requests.claim(
                _keyed(caller, quote), now, now - ABANDONED_AFTER
            )
            if isinstance(claim, KnownRequest):
                raise _Twin
            await uow.keyed_requests.finish(claim, KeptAnswer(_SEE_OTHER, {}, b"", order_id))

        return await self._order.handle(
            caller,
            quote_name(quote.id),
            OrderOptions(label),
            applicative=quote.request is not None,
            with_order=keep,
        )


def _keyed(caller: Caller, quote: StoredQuote) -> KeyedRequest:
    name = quote_name(quote.id)
    return KeyedRequest(caller.email[:MAX_USER], _ENDPOINT, name, sha256(name.encode()).digest())
