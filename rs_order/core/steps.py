"""Steps: bounded pieces of long work, sent through the outbox to the service's queues (architecture.md 2).

A step may be delivered twice; the second delivery changes nothing. Each step holds the progress of its work
when it was written, and its handler compares that with the stored progress.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import Enum, auto
from typing import Annotated, Any, ClassVar, TypeVar, cast

import orjson
from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.alias_generators import to_camel

from rs_order.correlation_ids import correlation_id
from rs_order.domain.ids import Tenant
from rs_order.ports import MessageKind
from rs_order.store.outbox import OutgoingMessage

_NAME = "step"
"""The member of a body with the name of the step."""
_AGAIN = "again"
"""The member of a step that the reconciler wrote again; handlers don't see it."""
_STORABLE = range(-(2**63), 2**63)
"""The numbers that the database can store."""


class StepQueue(Enum):
    """The queue that a step is published to."""

    LOCAL = auto()
    """For steps that need the database alone."""
    REMOTE = auto()
    """For steps that call other services or mail servers, which may take minutes."""


class StepScope(Enum):
    """The tenant that a step is for."""

    TENANT = auto()
    INSTANCE = auto()
    """The step is handled whatever its tenant, since its tenant may not be served yet."""


@dataclass(frozen=True)
class Step:
    """The base of all steps; a subclass gives its name on the queue and has its members as fields.

    It has no slots: a dataclass with slots is created as a second class, and would register its name twice.

    Raises:
        TypeError: two subclasses have the same name.
        ValueError: a field has a number that the database can't store.
    """

    name: ClassVar[str]
    queue: ClassVar[StepQueue]
    scope: ClassVar[StepScope]
    periodic: ClassVar[bool]
    """True: the work is repeated without end, so each step begins a trace of its own."""
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(alias_generator=to_camel, strict=True)

    def __init_subclass__(
        cls,
        *,
        name: str | None = None,
        queue: StepQueue = StepQueue.LOCAL,
        scope: StepScope = StepScope.TENANT,
        periodic: bool = False,
    ) -> None:
        if name is None:
            return  # the base of some steps
        if name in _CLASSES:
            raise TypeError(f"{cls.__name__} and {_CLASSES[name].__name__} are both named {name!r}")
        cls.name, cls.queue, cls.scope, cls.periodic = name, queue, scope, periodic
        _CLASSES[name] = cls

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            numbers = value if isinstance(value, tuple) else (value,)
            if any(isinstance(one, int) and one not in _STORABLE for one in numbers):
                raise ValueError(f"{to_camel(field.name)} is no 64-bit number")

    @property
    def members(self) -> dict[str, Any]:
        """Return the fields as JSON values, by their names on the queue, without those that are None."""
        dumped = _adapter(type(self)).dump_python(
            self, mode="json", by_alias=True, exclude_none=True
        )
        return cast("dict[str, Any]", dumped)

    @property
    def subjects(self) -> list[str]:
        """Return what the step works on, each as text: its members."""
        return [orjson.dumps(self.members, option=orjson.OPT_SORT_KEYS).decode()]

    def to(
        self, tenant: Tenant, due_at: datetime | None = None, *, again: bool = False
    ) -> OutgoingMessage:
        """Return the message that sends the step for a tenant; it isn't sent before ``due_at``.

        ``again``: it was written before, and the reconciler wants to know when it is done.
        """
        body = {_NAME: self.name, **self.members}
        if again:
            body[_AGAIN] = True
        # A step that is due later doesn't belong to the request: a periodic one would keep its id for ever.
        cause = correlation_id() if due_at is None else None
        return OutgoingMessage(
            kind=MessageKind.STEP, tenant=tenant, body=body, due_at=due_at, correlation_id=cause
        )


_CLASSES: dict[str, type[Step]] = {}
_ADAPTERS: dict[type[Step], TypeAdapter[Any]] = {}

RunNumber = Annotated[int, Field(alias="round", lt=2**63)]
"""The number of a run, or of a part of a run; a step with an earlier number is outdated."""

S = TypeVar("S", bound=Step)
Handler = Callable[[Tenant, S], Awaitable[None]]
GroupHandler = Callable[[Tenant, Sequence[S]], Awaitable[None]]


class UnknownStep(ValueError):
    """A body names no step, or a step that doesn't exist."""

    code = "unknown-step"


class UnhandledSteps(Exception):
    """Steps have no handler, or one has two: a defect of the composition, found at the start."""

    code = "unhandled-steps"


class StepRegistry:
    """The handler of each step."""

    def __init__(self) -> None:
        self._handlers: dict[type[Step], GroupHandler[Any]] = {}

    def on(self, step: type[S], handler: Handler[S]) -> None:
        """Register the handler of a class of steps, which does one after the other.

        Raises:
            UnhandledSteps: the class already has a handler.
        """

        async def one_by_one(tenant: Tenant, steps: Sequence[S]) -> None:
            for one in steps:
                await handler(tenant, one)

        self.on_groups(step, one_by_one)

    def on_groups(self, step: type[S], handler: GroupHandler[S]) -> None:
        """Register the handler of a class of steps, which does several of a tenant together.

        Raises:
            UnhandledSteps: the class already has a handler.
        """
        if step in self._handlers:
            raise UnhandledSteps(f"{step.name!r} has two handlers")
        self._handlers[step] = handler

    def check(self) -> None:
        """Check that each class of steps has a handler.

        Raises:
            UnhandledSteps: some have none; the text names them.
        """
        missing = sorted(step.name for step in _CLASSES.values() if step not in self._handlers)
        if missing:
            raise UnhandledSteps(f"no handler for {', '.join(missing)}")

    async def handle(self, tenant: Tenant, *steps: S) -> None:
        """Do steps of one class together. If that fails, some of them may be done."""
        await self._handlers[type(steps[0])](tenant, steps)


def step_names(queue: StepQueue) -> frozenset[str]:
    """Return the names of the steps that are published to a queue."""
    return frozenset(step.name for step in _CLASSES.values() if step.queue is queue)


def step_class(body: Mapping[str, Any]) -> type[Step]:
    """Return the class of the step that a body names.

    Raises:
        UnknownStep: there is no such step.
    """
    name = body.get(_NAME)
    if not isinstance(name, str) or name not in _CLASSES:
        raise UnknownStep(f"There is no step {name!r}.")
    return _CLASSES[name]


def is_again(body: Mapping[str, Any]) -> bool:
    """True if the reconciler wrote the step of a body again."""
    return body.get(_AGAIN) is True


def read_step(step: type[S], body: Mapping[str, Any]) -> S:
    """Return the step of a class that a body holds; members that it doesn't know are ignored.

    Raises:
        pydantic.ValidationError: a member is missing or wrong.
    """
    # Strict mode for JSON accepts a text as a date and a list as a tuple, but not a number as a text.
    return cast("S", _adapter(step).validate_json(orjson.dumps(body)))


def _adapter(step: type[Step]) -> TypeAdapter[Any]:
    if step not in _ADAPTERS:
        _ADAPTERS[step] = TypeAdapter(step)
    return _ADAPTERS[step]
