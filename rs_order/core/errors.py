"""Errors of use cases that a person requests.

``rest`` maps each to a status (rest.md 4.2). The texts in rest.md 4.4 and domain.md 17 are part of the
contract.

UseCaseRejected
├── NotFound               the order, file, selection or setting doesn't exist
│   ├── UnknownDeadLetter  no dead letter has this id
│   ├── UnknownHold        no hold has this id
│   ├── UnknownQuote       the user has no quote with this id
│   ├── UnknownSubscription  the user has no subscription with this id
│   └── NothingToHold      the user or the order to be held doesn't exist
├── ForbiddenToCaller      it belongs to another user
├── InMaintenance          the tenant is in maintenance, so its data may not be changed
├── EmptyBasket            the basket is empty or doesn't exist
├── EmptySelection         a search finds no file that can be ordered
├── InvalidInput           the input is well-formed and breaks a rule
│   ├── LabelRejected      the label is too long, or another order has it
│   ├── HoldRejected       a hold has no end in the future, or is of two things
│   ├── WeightRejected     a weight is out of range, or of two things
│   ├── LimitRejected      a limit is out of range
│   └── ReasonRejected     an operator's reason is missing or too long
├── FilterAndProcess       a dataset has either a file filter or a process
├── TooManyItems           there are more items than a process or a search accepts
├── ProcessUnusable        rs-processing gives no usable description of a process
├── TooManyLines           an uploaded file is too long
├── UnreadableUpload       an uploaded file isn't text
├── CatalogSearchFailed    the catalog rejects the search, or fails
├── QuoteRejected          a quote can't be made, or can't be ordered
│   ├── TooManyQuotes      a user or a tenant has too many
│   └── QuoteChanged       its selection has changed
├── ItemsRejected          items of STAC can't be ordered
├── ProductsNotListed      the list of the products of an order isn't complete
├── TooManySubscriptions   a user or a tenant has too many
├── WebhookRejected        a webhook can't be as it is wanted
│   ├── WebhooksOff        this deployment sends none
│   ├── NoWebhook          the subscription is none, or is one
│   ├── AddressNotAllowed  nothing may be sent to its URL
│   └── WebhookNotVerified  its receiver didn't agree
├── ActionRejected         the order's status, or the caller's role, doesn't allow the action
└── DeadLetterRejected     a dead letter can't be replayed or discarded
"""

import math
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from rs_order.domain.holds import HeldThing
from rs_order.domain.ids import Tenant
from rs_order.domain.tallies import FileTotals


class UseCaseRejected(Exception):
    """The base of the errors of use cases; the text is for the user."""

    code = "refused"


class NotFound(UseCaseRejected):
    code = "not-found"


class UnknownDeadLetter(NotFound):
    """No dead letter has this id; no dead letter was changed."""

    code = "unknown-dead-letter"

    def __init__(self, ids: Sequence[str]) -> None:
        super().__init__(
            f"No dead letter has the id {', '.join(ids)}. List the dead letters again: it may be long gone."
        )


class UnknownHold(NotFound):
    """No hold has this id."""

    code = "unknown-hold"

    def __init__(self, hold_id: int) -> None:
        super().__init__(f"There is no hold {hold_id}; it may have ended")


class UnknownQuote(NotFound):
    """The caller has no quote with this id; others may have it."""

    code = "unknown-quote"

    def __init__(self, name: str) -> None:
        super().__init__(f"You have no quote {name}; quotes are kept for a day. Quote again.")


class UnknownSubscription(NotFound):
    """The caller has no subscription with this id; others may have it."""

    code = "unknown-subscription"

    def __init__(self, subscription_id: UUID) -> None:
        super().__init__(
            f"You have no subscription {subscription_id}. GET /subscriptions lists yours."
        )


class NothingToHold(NotFound):
    """The user has no order, or the order doesn't exist or is deleted or expired."""

    code = "nothing-to-hold"

    def __init__(self, held: HeldThing) -> None:
        super().__init__(
            f"There is no order {held.order_id} in {held.tenant} that could be held"
            if held.order_id is not None
            else f"{held.owner} has no order in {held.tenant}"
        )


class ForbiddenToCaller(UseCaseRejected):
    code = "forbidden"


class InMaintenance(UseCaseRejected):
    code = "maintenance"

    def __init__(self, tenant: Tenant) -> None:
        super().__init__(f"Tenant {tenant} in maintenance!")


class EmptyBasket(UseCaseRejected):
    code = "empty-basket"

    def __init__(self) -> None:
        super().__init__("Basket is empty")


class EmptySelection(UseCaseRejected):
    code = "empty-selection"

    def __init__(self) -> None:
        super().__init__("This selection contains no file that can be ordered")


class InvalidInput(UseCaseRejected):
    """The input is well-formed and breaks rules; there is one message per broken rule."""

    code = "invalid-input"

    def __init__(self, *messages: str) -> None:
        super().__init__(", ".join(messages))
        self.messages: Sequence[str] = messages


class LabelRejected(InvalidInput):
    """``TOO_MANY_CHARACTERS_IN_LABEL`` or ``LABEL_NOT_UNIQUE_FOR_OWNER``; the code says which."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class OperatorInputRejected(InvalidInput):
    """The code of the instance says which rule is broken."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class HoldRejected(OperatorInputRejected):
    """The hold has ended before it begins, or names two things."""


class WeightRejected(OperatorInputRejected):
    """The weight is out of range, or names two things."""


class LimitRejected(OperatorInputRejected):
    """The limit is out of range."""

    def __init__(self, most: int) -> None:
        super().__init__(f"A limit is from 0 (none) to {most}", code="limit-out-of-range")


class ReasonRejected(OperatorInputRejected):
    """An operator's reason is missing, too long or unreadable."""


class FilterAndProcess(UseCaseRejected):
    code = "filter-and-process"

    def __init__(self) -> None:
        super().__init__("Impossible to have file filters and processing on the same dataset")


class TooManyItems(UseCaseRejected):
    code = "too-many-items"


class ProcessUnusable(UseCaseRejected):
    """rs-processing rejects the call, or its description of the process can't be read."""

    code = "process-unusable"


class TooManyLines(UseCaseRejected):
    code = "too-many-lines"

    def __init__(self, most: int) -> None:
        super().__init__(f"Input file exceed max lines limit ({most})")


class UnreadableUpload(UseCaseRejected):
    code = "unreadable-upload"


class CatalogSearchFailed(UseCaseRejected):
    code = "catalog-search-failed"

    def __init__(self) -> None:
        super().__init__(
            "Error applying search queries. Please correct your requests. "
            "Maybe your queries contains unknown attributes"
        )


class QuoteRejected(UseCaseRejected):
    """A quote can't be made, or can't be ordered; the code of the instance says why."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class TooManyQuotes(QuoteRejected):
    """A user requested too many quotes, or too many of a tenant are at work."""

    def __init__(self, reason: str, pause: timedelta) -> None:
        """``pause``: after which another one may begin."""
        self.seconds = max(1, math.ceil(pause.total_seconds()))
        super().__init__(f"{reason}. Try again in {self.seconds} s.", code="too-many-quotes")


class QuoteChanged(QuoteRejected):
    """The catalog finds more or less than when it was quoted."""

    def __init__(self, quoted: FileTotals, now: FileTotals) -> None:
        self.quoted = quoted
        self.now = now
        super().__init__(
            f"{quoted.files} files ({quoted.bytes} bytes) were quoted, and now it would be {now.files} files "
            f"({now.bytes} bytes). Quote again.",
            code="quote-changed",
        )


class ItemsRejected(UseCaseRejected):
    """Items of STAC can't be ordered; the code of the instance says why. Nothing was ordered."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class ProductsNotListed(UseCaseRejected):
    """An order has so many files that the list of its products takes more than one request."""

    code = "products-not-listed"

    def __init__(self, order_id: int) -> None:
        super().__init__(
            f"The products of order {order_id} are being listed for the first time. Ask again."
        )


class WebhookRejected(UseCaseRejected):
    """A webhook can't be as it is wanted. The text says why, and what to do."""


class WebhooksOff(WebhookRejected):
    """This deployment sends nothing to webhooks."""

    code = "webhooks-off"

    def __init__(self) -> None:
        super().__init__(
            "This deployment has no webhooks: read your events with GET /events, or ask its operator to set "
            "RS_ORDER_EVENTS_KEY."
        )


class NoWebhook(WebhookRejected):
    """Webhooks have secrets and deliveries; the other subscriptions are read and acknowledged."""

    code = "other-kind"

    def __init__(self, subscription_id: UUID, *, is_webhook: bool) -> None:
        kind = "a webhook: its events are sent" if is_webhook else "no webhook: its events are read"
        super().__init__(f"The subscription {subscription_id} is {kind}.")


class AddressNotAllowed(WebhookRejected):
    """Nothing may be sent to a URL."""

    code = "address-not-allowed"


class WebhookNotVerified(WebhookRejected):
    """A receiver didn't agree to get events."""

    code = "webhook-not-verified"


class TooManySubscriptions(UseCaseRejected):
    """A user has 20 subscriptions, or a tenant 500."""

    code = "too-many-subscriptions"


class ActionRejected(UseCaseRejected):
    """The message is one of the codes of rest.md 4.4."""

    code = "action-refused"


class DeadLetterRejected(UseCaseRejected):
    """The dead letter was replayed or discarded before, or can't be sent to the queue it came from."""

    code = "dead-letter-rejected"
