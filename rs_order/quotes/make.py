"""Makes quotes: searches the catalog, reads some pages, and says what an order would be (faces.md 9).

A quote with few files is made while its caller waits. Otherwise a chain of steps makes it, page by page. A
step that doesn't match the slices done so far was done before and does nothing.
"""

import asyncio
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from rs_order.concurrency import in_slices
from rs_order.contracts.order_messages import ErrorType, OrderRequest
from rs_order.contracts.platform_names import PlatformService
from rs_order.core.catalog_datasets import CatalogDatasets
from rs_order.core.errors import QuoteRejected
from rs_order.core.forecasts import Forecasts
from rs_order.core.responses import Rejection
from rs_order.core.shared_steps import MakeQuoteStep
from rs_order.domain.figures import Figures, corrected, figures_of
from rs_order.domain.files import Product
from rs_order.domain.identity import Caller
from rs_order.domain.ids import Checksum, Tenant
from rs_order.domain.order import expiration
from rs_order.domain.quotes import QuoteFailure, QuoteId, QuoteState, expected_time, total_of
from rs_order.domain.retry import RetryPolicy
from rs_order.domain.selection import DatasetSelection
from rs_order.domain.tallies import MOST_FILES, Tally, files_to_read, sample_of
from rs_order.ports import (
    PRODUCTS_AT_A_TIME,
    Catalog,
    Clock,
    RemoteError,
    RemoteRejection,
    RemoteUnavailable,
)
from rs_order.quotes.begin import BeginQuotes
from rs_order.quotes.document import Prospects, failure_text, quote_document
from rs_order.regards.catalog import RegardsDatasetFiles
from rs_order.regards.storage import RegardsStorage
from rs_order.requests.estimate import Estimator
from rs_order.store.quotes import StoredQuote
from rs_order.store.unit_of_work import Store, UnitOfWork

ANSWER_SECONDS: Final = 20.0
"""The longest time that a caller waits."""
TAKES_OVER: Final = timedelta(seconds=25)
"""A step makes a quote whose caller's process died."""
SLICE_SECONDS: Final = 150.0
"""The longest time of one slice; the reconciler counts on steps that end within three minutes."""
PAGE_PRODUCTS: Final = 1000
STORAGE_SECONDS: Final = 5.0
"""The longest wait for storage: a quote can do without it."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class QuoteSizes:
    """How much is read of a quote. Tests use smaller sizes."""

    batch_bytes: int
    """The size at which a sub-order is full."""
    page_products: int = PAGE_PRODUCTS
    most_files: int = MOST_FILES
    answer_seconds: float = ANSWER_SECONDS


class ReadForQuotes:
    """Searches and reads the catalog for quotes, with the rights of their owners."""

    def __init__(
        self,
        catalog: Catalog,
        dam: RegardsDatasetFiles | None,
        datasets: CatalogDatasets,
        estimator: Estimator,
        store: Store,
    ) -> None:
        """``dam``: None if attached files aren't ordered."""
        self._catalog = catalog
        self._dam = dam
        self._datasets = datasets
        self._estimator = estimator
        self._store = store

    async def search(self, caller: Caller, quote: StoredQuote) -> tuple[DatasetSelection, ...]:
        """Return what the quote is about; nothing if a query finds no file.

        Raises:
            RemoteRejection: the catalog rejects the search.
            RemoteUnavailable: it gives no answer.
        """
        if quote.request is None:
            return await self._basket(caller)
        request = OrderRequest.model_validate(quote.request)
        found = await self._estimator.selections(caller, request)
        if not isinstance(found, Rejection):
            return found
        if found.error_type is ErrorType.EMPTY_ORDER:
            return ()
        raise RemoteRejection(PlatformService.CATALOG, 400, found.message)

    async def _basket(self, caller: Caller) -> tuple[DatasetSelection, ...]:
        """Return the contents of the caller's basket, counted again."""
        basket = await self._store.baskets.of(caller.tenant, caller.email)
        return tuple(
            [
                one.counted(await self._datasets.union(caller, one.urn, one.requests))
                for one in (basket.selections if basket else ())
                if one.searches
            ]
        )

    async def page(
        self, caller: Caller, selection: DatasetSelection, tally: Tally
    ) -> tuple[Sequence[Product], Product | None, bool]:
        """Return the next products of a selection, the files attached to its dataset, and whether it ends.

        Raises:
            RemoteRejection, RemoteUnavailable: the catalog or rs-dam gives no usable answer.
        """
        attached = None
        if tally.pages == 0 and self._dam is not None:
            attached = await self._dam.attached_files(caller.tenant, selection.urn)
        found = await self._catalog.search(
            caller, selection.requests, page=tally.pages, size=tally.page_size
        )
        so_far = tally.products + len(found.products)
        last = not found.products or (found.total is not None and so_far >= found.total)
        products = [
            product
            async for some in in_slices(found.products, PRODUCTS_AT_A_TIME)
            for product in some
        ]
        return products, attached, last


@dataclass(frozen=True, slots=True)
class StorageAnswer:
    """What storage says about an owner and a sample of files; it may say nothing."""

    downloads_left: int | None = None
    checked: int = 0
    available: int = 0
    """Files of those checked that need no restoration."""


class AskAboutFiles:
    """Asks storage what improves a quote. A quote does without it if storage gives no answer."""

    def __init__(self, storage: RegardsStorage | None) -> None:
        self._storage = storage

    async def ask(self, tenant: Tenant, owner: str, sample: Sequence[Checksum]) -> StorageAnswer:
        """Return what storage says within some seconds."""
        if self._storage is None:
            return StorageAnswer()
        left, available = None, None
        try:
            async with asyncio.timeout(STORAGE_SECONDS):
                left = await self._storage.downloads_left(tenant, owner)
                if sample:
                    available = await self._storage.available(tenant, owner, sample)
        except (RemoteError, TimeoutError) as error:
            log.info("quote-without-storage", tenant=tenant, cause=str(error))
        if available is None:
            return StorageAnswer(left)
        return StorageAnswer(left, len(sample), len(available))


class MakeQuotes:
    """Makes quotes, slice by slice."""

    def __init__(
        self,
        quotes: BeginQuotes,
        store: Store,
        reader: ReadForQuotes,
        storage: AskAboutFiles,
        forecasts: Forecasts,
        *,
        clock: Clock,
        retries: RetryPolicy,
        slots: int,
        sizes: QuoteSizes,
    ) -> None:
        """``slots``: sub-orders of an owner that run at the same time; 0: any number."""
        self._quotes = quotes
        self._store = store
        self._reader = reader
        self._storage = storage
        self._forecasts = forecasts
        self._clock = clock
        self._retries = retries
        self._slots = slots
        self._sizes = sizes

    async def answer(self, caller: Caller, request: OrderRequest | None) -> StoredQuote:
        """Make a quote while its caller waits, and return it; if it takes long, steps go on with it.

        Raises:
            InvalidInput, TooManyQuotes: see ``BeginQuotes.begin``.
            QuoteRejected: the catalog rejects the search, or gives no answer. No quote is kept.
        """
        due = self._clock.now() + TAKES_OVER
        begun = await self._quotes.begin(caller, request, due=due)
        quote = begun
        try:
            async with asyncio.timeout(self._sizes.answer_seconds):
                while quote.state is QuoteState.AT_WORK and not self._is_large(quote):
                    quote = await self._advance(caller.tenant, quote)
        except TimeoutError:
            log.info("quote-takes-long", tenant=caller.tenant, quote=quote.id)
        except RemoteUnavailable as error:
            await self._reject(caller.tenant, begun.id, QuoteFailure.CATALOG_UNREACHABLE, error)
        if quote.failure is not None:
            await self._reject(caller.tenant, begun.id, quote.failure)
        await self._save(caller.tenant, quote)
        return quote

    async def handle(self, tenant: Tenant, step: MakeQuoteStep) -> None:
        """Make the next slice of a quote."""
        async with self._store.unit_of_work(tenant) as uow:
            quote = await uow.quotes.find(QuoteId(step.quote_id))
        if quote is None or quote.slices != step.slice:
            return
        if quote.at(self._clock.now()).state is not QuoteState.AT_WORK:
            return
        try:
            following = await self._advance(tenant, quote)
        except RemoteUnavailable as error:
            await self._wait(tenant, quote, error)
        else:
            await self._save(tenant, replace(following, attempts=0, unavailable_since=None))

    def _is_large(self, quote: StoredQuote) -> bool:
        """True if too many files were found for a caller to wait until they are read."""
        return total_of(quote.selections or ()).files > self._sizes.most_files

    async def _advance(self, tenant: Tenant, quote: StoredQuote) -> StoredQuote:
        """Return the quote with one more slice, which isn't stored yet.

        Raises:
            RemoteUnavailable: a service gave no answer.
        """
        caller = Caller(tenant, quote.owner, quote.role)
        try:
            async with asyncio.timeout(SLICE_SECONDS):
                if quote.selections is None:
                    found = await self._reader.search(caller, quote)
                    following = replace(quote, selections=found)
                else:
                    following = await self._with_page(caller, quote, quote.selections)
        except RemoteRejection as error:
            log.info("quote-rejected", tenant=tenant, quote=quote.id, cause=str(error))
            return _failed(quote, QuoteFailure.SEARCH_REJECTED)
        except TimeoutError as error:
            raise RemoteUnavailable(PlatformService.CATALOG, "too slow") from error
        if following.selections is not None and _is_read(following.selections, following.tallies):
            return await self._ready(tenant, following, following.selections)
        return following

    async def _with_page(
        self, caller: Caller, quote: StoredQuote, selections: tuple[DatasetSelection, ...]
    ) -> StoredQuote:
        """Return the quote with one more page of the first selection of which more is to be read."""
        tallies = list(quote.tallies)
        if not tallies or tallies[-1].enough:
            tallies.append(Tally(page_size=self._sizes.page_products))
        tally, selection = deepcopy(tallies[-1]), selections[len(tallies) - 1]
        products, attached, last = await self._reader.page(caller, selection, tally)
        stored = {
            file.checksum
            for product in (*products, *([attached] if attached else ()))
            for file in product.files
            if file.checksum and not file.external
        }
        async with self._store.unit_of_work(caller.tenant) as uow:
            awaited = await uow.quotes.awaited(list(stored))
        tally.add_page(
            products,
            selection.file_filter,
            self._sizes.batch_bytes,
            attached=attached,
            awaited=awaited,
            last=last,
        )
        whole = total_of(selections).files
        most = files_to_read(selection, whole, self._sizes.most_files)
        tally.enough = last or tally.found_files >= most
        return replace(quote, tallies=(*tallies[:-1], tally))

    async def _ready(
        self, tenant: Tenant, quote: StoredQuote, selections: tuple[DatasetSelection, ...]
    ) -> StoredQuote:
        """Return the quote with its document: everything that is needed was read."""
        figures = figures_of(selections, quote.tallies, self._sizes.batch_bytes)
        forecast = await self._forecasts.of(tenant)
        answer = await self._storage.ask(tenant, quote.owner, sample_of(quote.tallies))
        figures = corrected(figures, checked=answer.checked, available=answer.available)
        now = self._clock.now()
        async with self._store.unit_of_work(tenant) as uow:
            owner = await uow.quotes.situation(quote.owner)
            expires = await _expires(uow, figures, now, basket=quote.request is None)
        time = expected_time(forecast.outlook, figures, owner, self._slots)
        experience = forecast.experience
        prospects = Prospects(
            owner,
            self._slots,
            time,
            experience.level,
            experience.outcomes,
            expires,
            answer.downloads_left,
        )
        return replace(quote, state=QuoteState.READY, document=quote_document(figures, prospects))

    async def _save(self, tenant: Tenant, quote: StoredQuote) -> None:
        """Store a slice, with the step of the next one, unless another process was faster."""
        async with self._store.unit_of_work(tenant) as uow:
            saved = await uow.quotes.save(quote, self._clock.now())
            if saved and quote.state is QuoteState.AT_WORK:
                await uow.messages.send([MakeQuoteStep(quote.id, quote.slices + 1).to(tenant)])

    async def _wait(self, tenant: Tenant, quote: StoredQuote, error: RemoteUnavailable) -> None:
        """Try the same slice again later, or fail the quote when the retry policy is exhausted."""
        now = self._clock.now()
        log.warning("quote-waits", tenant=tenant, quote=quote.id, cause=str(error))
        since = quote.unavailable_since or now
        waiting = replace(quote, attempts=quote.attempts + 1, unavailable_since=since)
        if self._retries.exhausted(since, now):
            await self._save(tenant, _failed(waiting, QuoteFailure.CATALOG_UNREACHABLE))
            return
        due = now + self._retries.pause(waiting.attempts)
        async with self._store.unit_of_work(tenant) as uow:
            if await uow.quotes.save(waiting, now):
                await uow.messages.send([MakeQuoteStep(quote.id, quote.slices + 1).to(tenant, due)])

    async def _reject(
        self,
        tenant: Tenant,
        quote_id: QuoteId,
        failure: QuoteFailure,
        cause: Exception | None = None,
    ) -> None:
        """Delete a quote that its caller hasn't seen, and raise its failure."""
        async with self._store.unit_of_work(tenant) as uow:
            await uow.quotes.forget(quote_id)
        raise QuoteRejected(failure_text(failure), code=failure) from cause


async def _expires(uow: UnitOfWork, figures: Figures, now: datetime, *, basket: bool) -> timedelta:
    """Return how long an order would live, at least, once its files are known."""
    settings = await uow.settings()
    hours = settings.user_sub_order_hours if basket else settings.app_sub_order_hours
    date = expiration(
        now,
        storage_sub_orders=figures.storage_sub_orders.least,
        sub_order_hours=hours,
        max_hours=settings.expiration_max_hours,
    )
    return date - now


def _failed(quote: StoredQuote, failure: QuoteFailure) -> StoredQuote:
    return replace(quote, state=QuoteState.FAILED, failure=failure)


def _is_read(selections: tuple[DatasetSelection, ...], tallies: tuple[Tally, ...]) -> bool:
    """True if enough of each selection was read."""
    return len(tallies) == len(selections) and all(one.enough for one in tallies)
