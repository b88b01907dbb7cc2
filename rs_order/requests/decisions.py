"""Decisions about requests, from the moment they are made until they are stored."""

from dataclasses import dataclass, field
from typing import TypeVar

from rs_order.core.responses import Rejection
from rs_order.domain.ids import RequestId
from rs_order.ports import RemoteUnavailable
from rs_order.requests.estimate import Estimate
from rs_order.store.requests import RecordedRequest

Kind = TypeVar("Kind")


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A remote service was unavailable for this request."""

    cause: RemoteUnavailable


@dataclass(frozen=True, slots=True)
class Unexpected:
    """Deciding about this request failed with an unexpected error."""

    error: str
    """The name of the exception's class."""


Decision = Estimate | Rejection | Unavailable | Unexpected


@dataclass(slots=True)
class Decisions:
    """Decisions that wait for their commit, by kind."""

    granted: dict[RequestId, Estimate] = field(default_factory=dict)
    rejected: dict[RequestId, Rejection] = field(default_factory=dict)
    unavailable: dict[RequestId, Unavailable] = field(default_factory=dict)
    unexpected: dict[RequestId, Unexpected] = field(default_factory=dict)

    def add(self, request: RecordedRequest, decision: Decision) -> None:
        match decision:
            case Estimate():
                self.granted[request.id] = decision
            case Rejection():
                self.rejected[request.id] = decision
            case Unavailable():
                self.unavailable[request.id] = decision
            case Unexpected():
                self.unexpected[request.id] = decision

    def halves(self) -> tuple["Decisions", "Decisions"]:
        """Return the decisions in two parts of about the same size."""
        first = set(self.ids[: len(self.ids) // 2])

        def some(*, in_first: bool) -> "Decisions":
            def of(decisions: dict[RequestId, Kind]) -> dict[RequestId, Kind]:
                return {id_: one for id_, one in decisions.items() if (id_ in first) is in_first}

            return Decisions(
                of(self.granted), of(self.rejected), of(self.unavailable), of(self.unexpected)
            )

        return some(in_first=True), some(in_first=False)

    @property
    def ids(self) -> list[RequestId]:
        return [*self.granted, *self.rejected, *self.unavailable, *self.unexpected]
