"""Identifiers that rs-processing sends back; its results are matched by them (domain.md 5.4).

They are compared as a whole, never by prefix: ``…_subOrder-1`` is not ``…_subOrder-10`` (W27).
"""

import json
import re
from dataclasses import dataclass
from typing import Self

from rs_order.domain.ids import OrderId, Urn

_BATCH = re.compile(r"order-([0-9]{1,18})_dsSel-([0-9]{1,18})_subOrder-([0-9]{1,9})")
_FILE = re.compile(r"file:/([^/]+)(?:/([^/]+)(?:/(.+))?)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class BatchCorrelation:
    """The identifier of the batch of one processed sub-order."""

    order_id: OrderId
    selection_id: int
    """Of the dataset selection in the order's basket."""
    number: int
    """Of the sub-order within its dataset selection, from 1."""

    def __str__(self) -> str:
        return f"order-{self.order_id}_dsSel-{self.selection_id}_subOrder-{self.number}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the identifier, or None if the text is none of this service's."""
        match = _BATCH.fullmatch(text)
        if match is None:
            return None
        order_id, selection_id, number = (int(part) for part in match.groups())
        return cls(OrderId(order_id), selection_id, number)


@dataclass(frozen=True, slots=True)
class FileId:
    """The identifier of an input or output of a batch.

    The output of a whole batch has neither product nor name, that of a product no name.
    """

    batch: str
    product: Urn | None = None
    name: str | None = None

    def __str__(self) -> str:
        return "file:/" + "/".join(part for part in (self.batch, self.product, self.name) if part)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the identifier, or None if the text is none of this service's."""
        match = _FILE.fullmatch(text)
        if match is None:
            return None
        batch, product, name = match.groups()
        return cls(batch, Urn(product) if product else None, name)


class UnreadableExecution(ValueError):
    """The correlation id of an execution can't be read."""

    code = "unreadable-execution"


@dataclass(frozen=True, slots=True)
class ExecutionCorrelation:
    """The identifier of an execution within its batch: its user, and its product if it works on one."""

    user: str
    product: Urn | None

    def __str__(self) -> str:
        feature = ["undefined"] if self.product is None else ["defined", self.product]
        return json.dumps(
            {"user": self.user, "featureId": feature}, separators=(",", ":"), ensure_ascii=False
        )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the identifier of an execution.

        Raises:
            UnreadableExecution: the text is none of this service's.
        """
        try:
            parts = json.loads(text)
            user, feature = parts["user"], parts["featureId"]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise UnreadableExecution(f"no execution of this service: {text[:200]!r}") from error
        match feature:
            case ["defined", str() as product] if isinstance(user, str):
                return cls(user, Urn(product))
            case ["undefined"] if isinstance(user, str):
                return cls(user, None)
        raise UnreadableExecution(f"no execution of this service: {text[:200]!r}")
