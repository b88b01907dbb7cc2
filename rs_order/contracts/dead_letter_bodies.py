"""Bodies of the endpoints for dead letters. They are ours: the reference has no such endpoints."""

from typing import Annotated, Any, Final

import orjson
from pydantic import ConfigDict, Field

from rs_order.contracts.wire import Instant, Link, Long, Text, WireModel
from rs_order.domain.dead_letters import (
    DeadLetterFilter,
    LetterAct,
    LetterRun,
    LetterState,
    RunState,
    StoredDeadLetter,
)

MOST_IDS: Final = 1000
"""Dead letters that one request may name."""
FASTEST_RATE: Final = 10_000.0
DEFAULT_RATE: Final = 50.0

Ids = Annotated[list[Text], Field(min_length=1)]
Rate = Annotated[float, Field(gt=0, le=FASTEST_RATE, allow_inf_nan=False)]


class DeadLetterDto(WireModel):
    """A dead letter without its headers and body."""

    model_config = ConfigDict(populate_by_name=True)

    id: str = Field(examples=["5c2c51842fdb8a3d"])
    vhost: str = Field(examples=["multitenant"])
    queue: str = Field(examples=["rs-order.steps.DLQ"], description="The queue that holds it.")
    origin: str | None = Field(None, description="The queue it came from.")
    reason: str = Field(examples=["invalid-message"])
    detail: str | None = None
    tenant: str | None = None
    order_id: int | None = Field(None, alias="orderId")
    step: str | None = Field(None, description="Name of the step, if it is one.")
    message_id: str | None = Field(None, alias="messageId")
    correlation_id: str | None = Field(None, alias="correlationId")
    died_at: Instant | None = Field(None, alias="diedAt")
    times: int = Field(examples=[1], description="How often it became a dead letter.")
    state: LetterState
    changed_at: Instant | None = Field(None, alias="changedAt")
    changed_by: str | None = Field(None, alias="changedBy")
    because: str | None = None

    @classmethod
    def of(cls, letter: StoredDeadLetter) -> "DeadLetterDto":
        return cls.model_validate(letter, from_attributes=True)


class FullDeadLetterDto(DeadLetterDto):
    """A dead letter with its headers and body."""

    headers: dict[str, Any] = Field(examples=[{"regards.tenant": "project1"}])
    properties: dict[str, Any] = Field(examples=[{"message_id": "d1f0-42"}])
    body: Any = Field(
        examples=[{"orderId": 12}],
        description="A text if the message isn't JSON that can be shown.",
    )

    @classmethod
    def of(cls, letter: StoredDeadLetter) -> "FullDeadLetterDto":
        summary = DeadLetterDto.of(letter).model_dump()
        return cls(
            **summary,
            headers=dict(letter.headers),
            properties=dict(letter.properties),
            body=_shown(letter.body),
        )


def _shown(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode(errors="backslashreplace")


class DeadLetterPage(WireModel):
    """Open dead letters, the oldest first. The link ``next`` leads to the following page."""

    content: list[DeadLetterDto]
    links: list[Link]


class LetterFilterDto(WireModel):
    """Selects open dead letters. An absent member matches all."""

    model_config = ConfigDict(populate_by_name=True, extra="forbid")

    tenant: Text | None = None
    queue: Text | None = Field(None, description="The queue that holds it, or that it came from.")
    reason: Text | None = Field(None, examples=["unknown-tenant"])
    order_id: Long | None = Field(None, alias="orderId")
    step: Text | None = None
    died_before: Instant | None = Field(None, alias="diedBefore")

    @property
    def filter(self) -> DeadLetterFilter:
        return DeadLetterFilter(
            self.tenant, self.queue, self.reason, self.order_id, self.step, self.died_before
        )


class CorrectedBody(WireModel):
    """The body to send instead of that of the dead letter. Without it, the message is sent as it was."""

    body: Any = Field(None, examples=[{"correlationId": "d1f0-42", "queries": ["*"]}])


class ReplayRequest(WireModel):
    """Dead letters to send back to the queues that they came from."""

    ids: Ids = Field(examples=[["5c2c51842fdb8a3d"]])
    rate: Rate = Field(DEFAULT_RATE, description="Per second.", examples=[50])


class DiscardRequest(WireModel):
    """Dead letters to discard, and why."""

    ids: Ids = Field(examples=[["5c2c51842fdb8a3d"]])
    because: Text = Field(min_length=1, pattern=r"\S", examples=["sent by a test"])


class HandledDto(WireModel):
    """The result of an act on named dead letters."""

    done: list[str] = Field(examples=[["5c2c51842fdb8a3d"]])
    rejected: dict[str, str] = Field(
        examples=[{}], description="Those that stay as they are, by id, with the reasons."
    )


class RunRequest(WireModel):
    """An act on all open dead letters that a filter selects."""

    model_config = ConfigDict(extra="forbid")

    act: LetterAct = Field(examples=["replay"])
    filter: LetterFilterDto = Field(
        default_factory=LetterFilterDto, examples=[{"reason": "unknown-tenant"}]
    )
    rate: Rate = Field(DEFAULT_RATE, description="Replays per second.", examples=[50])
    because: Text | None = Field(None, description="The reason; needed to discard.")


class RunDto(WireModel):
    """An act on all dead letters that matched at its beginning, with its progress."""

    model_config = ConfigDict(populate_by_name=True)

    id: int = Field(examples=[7])
    act: LetterAct
    state: RunState
    total: int = Field(description="Matched at the beginning.", examples=[5000])
    done: int = Field(examples=[1200])
    rejected: int = Field(examples=[0])
    left: int = Field(examples=[3800])
    rejections: dict[str, str] = Field(
        description="The first reasons, by dead letter.", examples=[{}]
    )
    because: str | None = None
    created_at: Instant = Field(alias="createdAt")
    ended_at: Instant | None = Field(None, alias="endedAt")

    @classmethod
    def of(cls, run: LetterRun) -> "RunDto":
        return cls.model_validate(run, from_attributes=True)
