"""What became of requests that were judged, on the way from the judge to the store."""

from dataclasses import dataclass, field
from typing import TypeVar

from rs_order.application.estimate import Estimate
from rs_order.application.refusal import Refusal
from rs_order.domain.ids import RequestId
from rs_order.ports.errors import RemoteTrouble
from rs_order.store.requests import RecordedRequest

Kind = TypeVar("Kind")


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A remote service gave no answer for this request."""

    trouble: RemoteTrouble


@dataclass(frozen=True, slots=True)
class Broken:
    """Judging this request failed in a way nobody foresaw."""

    error: str


Verdict = Estimate | Refusal | Unanswered | Broken


@dataclass(slots=True)
class Verdicts:
    """Verdicts that wait for their commit, sorted by kind."""

    granted: dict[RequestId, Estimate] = field(default_factory=dict)
    refused: dict[RequestId, Refusal] = field(default_factory=dict)
    unanswered: dict[RequestId, Unanswered] = field(default_factory=dict)
    broken: dict[RequestId, Broken] = field(default_factory=dict)

    def add(self, request: RecordedRequest, verdict: Verdict) -> None:
        match verdict:
            case Estimate():
                self.granted[request.id] = verdict
            case Refusal():
                self.refused[request.id] = verdict
            case Unanswered():
                self.unanswered[request.id] = verdict
            case Broken():
                self.broken[request.id] = verdict

    def halves(self) -> tuple["Verdicts", "Verdicts"]:
        first = set(self.ids[: len(self.ids) // 2])

        def some(*, in_first: bool) -> "Verdicts":
            def of(verdicts: dict[RequestId, Kind]) -> dict[RequestId, Kind]:
                return {id_: one for id_, one in verdicts.items() if (id_ in first) is in_first}

            return Verdicts(
                of(self.granted), of(self.refused), of(self.unanswered), of(self.broken)
            )

        return some(in_first=True), some(in_first=False)

    @property
    def ids(self) -> list[RequestId]:
        return [*self.granted, *self.refused, *self.unanswered, *self.broken]
