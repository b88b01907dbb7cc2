"""Prepares the overview in pure functions: is it well, and how much is it doing? (console.md 4)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from rs_order.console.texts import Texts
from rs_order.contracts.administration import HealthStatus
from rs_order.core.instance_states import health_in
from rs_order.domain.states import OrderStatus
from rs_order.ports import ComponentHealth
from rs_order.regards.call_watch import ServiceCalls
from rs_order.store.backlog import Restores, TenantBacklog
from rs_order.store.instances import Identity, KnownInstance

SILENT_AFTER: Final = timedelta(seconds=60)
"""A process says every 20 s how it is."""
_SHOWN: Final = (
    OrderStatus.PENDING,
    OrderStatus.RUNNING,
    OrderStatus.PAUSED,
    OrderStatus.DONE,
    OrderStatus.DONE_WITH_WARNING,
    OrderStatus.FAILED,
)
_TONES: Final = {
    HealthStatus.UP: ("good", "check"),
    HealthStatus.DOWN: ("bad", "cross"),
    HealthStatus.OUT_OF_SERVICE: ("wait", "pause"),
}


@dataclass(frozen=True, slots=True)
class Component:
    name: str
    state: str
    tone: str
    icon: str
    detail: str


@dataclass(frozen=True, slots=True)
class Service:
    """A service of the platform, or hosts of others, as this instance has met it."""

    name: str
    tone: str
    icon: str
    last: datetime | None
    """Of its last good answer; None: there was none."""
    failures: int
    """Within the last hour."""


@dataclass(frozen=True, slots=True)
class InstanceRow:
    """A process of the service."""

    name: str
    role: str
    version: str
    started_at: datetime
    tone: str
    icon: str
    text: str
    detail: str
    mine: bool
    """True if it made the page."""


@dataclass(frozen=True, slots=True)
class Project:
    """A row of the table of projects."""

    name: str
    maintenance: bool
    orders: Mapping[str, int]
    restores: str
    oldest_request: datetime | None
    oldest_ready: datetime | None
    letters: int
    own: bool
    """True if the visitor is signed in to it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to "is it well?"."""

    tone: str
    icon: str
    text: str


def components_of(health: Mapping[str, ComponentHealth], texts: Texts) -> list[Component]:
    return [
        Component(
            texts(f"component.{name}") if texts.has(f"component.{name}") else name,
            texts(f"health.{one.status}"),
            *_TONES.get(one.status, ("wait", "warn")),
            detail=_detail(one) if one.status is not HealthStatus.UP else "",
        )
        for name, one in health.items()
    ]


def _detail(component: ComponentHealth) -> str:
    """Return the facts of a component that isn't UP, those that say something."""
    facts = {name: value for name, value in component.details.items() if value}
    return "; ".join(f"{name}: {_written(value)}" for name, value in facts.items())


def _written(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} ({one})" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(str(one) for one in value)
    return str(value)


def services_of(calls: Mapping[str, ServiceCalls], texts: Texts) -> list[Service]:
    """Return what was called: services of the platform by name, then hosts of others.

    A service whose last call failed is pointed out. A host of others isn't: nobody here can mend it.
    """
    found = sorted(calls.items(), key=lambda one: (one[1].of_others, one[0]))
    return [_service(name, one, texts) for name, one in found]


def _service(name: str, calls: ServiceCalls, texts: Texts) -> Service:
    if calls.of_others:
        name, tone, icon = texts(f"overview.{name}"), "off", "link"
    else:
        tone, icon = ("good", "check") if calls.well else ("bad", "cross")
    return Service(name, tone, icon, calls.last_good, calls.failures)


def instances_of(
    me: Identity,
    health: Mapping[str, ComponentHealth],
    known: Sequence[KnownInstance],
    texts: Texts,
) -> list[InstanceRow]:
    """Return this process, and the others by name.

    Args:
        me: this process.
        health: its health.
        known: all processes, as they described themselves.
        texts: the language of the visitor.
    """
    others = [one for one in known if one.of.id != me.id]
    return [
        _instance(me, health, timedelta(), texts, mine=True),
        *(_instance(one.of, health_in(one.state), one.silent_for, texts) for one in others),
    ]


def _instance(
    of: Identity,
    health: Mapping[str, ComponentHealth],
    silent_for: timedelta,
    texts: Texts,
    *,
    mine: bool = False,
) -> InstanceRow:
    down = _down(health)
    if silent_for > SILENT_AFTER:
        tone, icon, text = (
            "wait",
            "clock",
            texts("instance.silent", time=texts.duration(silent_for)),
        )
    elif down:
        tone, icon, text = "bad", "cross", texts("health.DOWN")
    else:
        tone, icon, text = "good", "check", texts("health.UP")
    return InstanceRow(
        of.name,
        texts(f"instance.role.{of.role}"),
        of.version,
        of.started_at,
        tone,
        icon,
        text,
        ", ".join(texts(f"component.{name}") for name in down),
        mine,
    )


def _down(health: Mapping[str, ComponentHealth]) -> list[str]:
    return [name for name, one in health.items() if one.status is HealthStatus.DOWN]


def verdict_of(
    instances: Sequence[InstanceRow], services: Sequence[Service], letters: int, texts: Texts
) -> Verdict:
    """Return the worst that is known, in one sentence."""
    down = [one for one in instances if one.tone == "bad"]
    gone = [one.name for one in instances if one.tone == "wait"]
    silent = [one.name for one in services if one.tone == "bad"]
    if down:
        worst = down[0]
        return Verdict(
            "bad", "cross", texts("overview.down", instance=worst.name, names=worst.detail)
        )
    if silent:
        return Verdict("bad", "warn", texts("overview.silent", names=", ".join(silent)))
    if gone:
        return Verdict("wait", "clock", texts("overview.gone", names=", ".join(gone)))
    if letters:
        text = texts("overview.letters", letters=texts.count("letter", letters))
        return Verdict("wait", "mail", text)
    return Verdict("good", "check", texts("overview.well"))


def project_of(
    name: str,
    texts: Texts,
    *,
    maintenance: bool,
    orders: Mapping[OrderStatus, int],
    backlog: TenantBacklog,
    restores: Restores | None,
    letters: int,
    own: bool,
) -> Project:
    in_flight = restores.in_flight if restores else None
    return Project(
        name=name,
        maintenance=maintenance,
        orders={status.value: orders.get(status, 0) for status in _SHOWN},
        restores=texts(
            "overview.in-flight",
            files=texts.count("file", in_flight.files),
            size=texts.size(in_flight.bytes),
        )
        if in_flight
        else "",
        oldest_request=backlog.request,
        oldest_ready=backlog.ready,
        letters=letters,
        own=own,
    )
