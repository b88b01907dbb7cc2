"""Quotes: what an order would be (faces.md 9). They are ours: the reference has no such endpoints."""

from typing import Any

from pydantic import ConfigDict, Field

from rs_order.contracts.order_messages import OrderRequest
from rs_order.contracts.wire import Flag, Instant, WireModel
from rs_order.domain.estimates import Silence
from rs_order.domain.quotes import QuoteFailure, QuoteId, QuoteState

_PREFIX = "q-"
_DIGITS = 18


def quote_name(quote_id: QuoteId) -> str:
    """Return the id of a quote as users see it."""
    return f"{_PREFIX}{quote_id}"


def quote_id_of(name: str) -> QuoteId | None:
    """Return the number in the id of a quote; None if no quote can have this id."""
    number = name.removeprefix(_PREFIX)
    if number == name or not number.isascii() or not number.isdigit() or len(number) > _DIGITS:
        return None
    return QuoteId(int(number))


class QuoteRequest(OrderRequest):
    """What to quote: the queries of an order, or the caller's basket."""

    basket: Flag | None = Field(None, description="Quote the caller's basket; then no queries.")
    items: Any = Field(None, description="Items of STAC can't be quoted.", examples=[None])
    features: Any = Field(None, description="Nor can features.", examples=[None])

    def unsupported_member(self) -> str | None:
        """Return the name of a member that can't be quoted."""
        return next((one for one in ("items", "features") if getattr(self, one) is not None), None)


class QuotedAmount(WireModel):
    """Files, with their bytes as far as they are known."""

    files: int = Field(examples=[11400])
    bytes: int | None = Field(None, examples=[1753000000000])


class QuotedPlaces(WireModel):
    """Where the files are, according to the catalog."""

    online: QuotedAmount
    nearline: QuotedAmount = Field(description="On tape.")
    external: QuotedAmount = Field(description="Known by a URL; storage isn't asked for them.")
    unknown: QuotedAmount = Field(description="The catalog describes them wrongly.")
    basis: str = Field(
        examples=["catalog flags of 12000 of 12630 files, checked with storage for 500"]
    )


class QuotedSubOrders(WireModel):
    """The number of sub-orders; equal if it is known exactly."""

    min: int = Field(examples=[17579])
    max: int = Field(examples=[17705])


class QuotedTime(WireModel):
    """How long storage needs to bring all files back, as ISO 8601 durations."""

    shortest: str = Field(examples=["PT31H"])
    longest: str = Field(examples=["P6D"])
    level: float | None = Field(
        None,
        description="The share of earlier ranges of single sub-orders that came true.",
        examples=[0.9],
    )
    samples: int | None = Field(None, examples=[214])
    basis: str = Field(examples=["earlier restores of this project"])
    assumes: str | None = Field(
        None, examples=["you download sub-orders as soon as they are ready"]
    )


class QuotedQuota(WireModel):
    """The download quota of storage."""

    left: int | None = Field(
        None,
        description="Files that you may still download; absent: any number, or storage doesn't say.",
        examples=[9000],
    )
    needed: int = Field(description="Files that count.", examples=[12600])


class QuotedLimits(WireModel):
    """What the order needs, and how long it lives."""

    model_config = ConfigDict(populate_by_name=True)

    download_quota: QuotedQuota = Field(alias="downloadQuota")
    expires: str = Field(
        description="The order expires so long after its files are known, at the earliest.",
        examples=["P7D"],
    )


class QuoteBlock(WireModel):
    """What would keep the order from going on."""

    code: str = Field(examples=["your-download-needed"])
    text: str
    hard: bool = Field(description="Ordering would be rejected now.")


class QuotedOrder(WireModel):
    """The request that orders the quote."""

    href: str = Field(
        examples=["https://regards.example.org/api/v1/rs-order/user/orders/apply"],
    )
    method: str = Field(examples=["POST"])
    body: dict[str, str] = Field(examples=[{"quoteId": "q-12"}])


class QuoteFailureDto(WireModel):
    """Why there is no quote."""

    code: QuoteFailure
    text: str


class QuoteDto(WireModel):
    """What an order would be. Until it is ready, it has its state and times only."""

    model_config = ConfigDict(populate_by_name=True)

    id: str = Field(examples=["q-12"])
    state: QuoteState
    created_at: Instant = Field(alias="createdAt", description="Later products don't belong to it.")
    valid_until: Instant = Field(alias="validUntil", description="It can be ordered until then.")
    exact: bool | None = Field(
        None,
        description="An order has just these files, bytes and sub-orders, unless the catalog changes.",
    )
    products: int | None = Field(None, examples=[4210])
    files: int | None = Field(None, examples=[12630])
    bytes: int | None = Field(None, examples=[1843200000000])
    unknown_size: int | None = Field(
        None, alias="unknownSize", description="Files without a size.", examples=[12]
    )
    quicklook_files: int | None = Field(
        None, alias="quicklookFiles", description="Quicklooks among the files.", examples=[4210]
    )
    where: QuotedPlaces | None = None
    already_requested: QuotedAmount | None = Field(
        None,
        alias="alreadyRequested",
        description="Those that storage is bringing back for other orders.",
    )
    sub_orders: QuotedSubOrders | None = Field(None, alias="subOrders")
    run_at_once: int | None = Field(
        None,
        alias="runAtOnce",
        description="Sub-orders of one user that run at the same time; absent: any number.",
        examples=[2],
    )
    expected: QuotedTime | None = None
    why: Silence | None = Field(None, description="Why no time is given.")
    limits: QuotedLimits | None = None
    blocks: list[QuoteBlock] | None = None
    advice: list[str] | None = None
    order: QuotedOrder | None = None
    failure: QuoteFailureDto | None = None
