"""The kinds of injections that a run draws from, with their durations and what they need."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from rs_order.sandbox.faults import EVERY, Outage, OutageMode, Service
from tests.fault_run.deployment import Deployment, Instance, may_mount
from tests.fault_run.faults import (
    CutConnections,
    Fault,
    FrozenConnections,
    FrozenInstance,
    FullBrokerDisk,
    FullDatabaseDisk,
    FullQueue,
    KilledInstance,
    KilledSession,
    OldEvents,
    ReadOnlyDatabase,
    SandboxSetting,
    ServiceOutage,
    SilentProcessing,
    SilentStorage,
    SlowConnections,
    StoppedServer,
)
from tests.fault_run.plan import Kind
from tests.fault_run.rubbish import Rubbish

Make = Callable[[Deployment, Instance], Fault]


@dataclass(frozen=True)
class Injection:
    kind: Kind
    make: Make


def _injection(
    name: str, target: str, shortest: float, longest: float, make: Make
) -> tuple[str, Injection]:
    return name, Injection(Kind(target, shortest, longest), make)


def _outage(service: Service, mode: OutageMode, **members: float) -> Make:
    return lambda here, _: ServiceOutage(here, service, Outage(mode=mode, **members))


def _server(name: str, *, killed: bool) -> Make:
    return lambda here, _: StoppedServer(here, name, killed=killed)


INJECTIONS: Final = dict(
    [
        _injection("instance killed", "instance", 0.5, 4, lambda _, one: KilledInstance(one)),
        _injection("instance frozen", "instance", 3, 12, lambda _, one: FrozenInstance(one)),
        _injection("broker killed", "broker", 0.5, 3, _server("broker", killed=True)),
        _injection("broker restarted", "broker", 0.5, 3, _server("broker", killed=False)),
        _injection("broker out of disk", "broker", 3, 8, lambda here, _: FullBrokerDisk(here)),
        _injection("PostgreSQL killed", "database", 0.5, 3, _server("database", killed=True)),
        _injection("PostgreSQL restarted", "database", 0.5, 3, _server("database", killed=False)),
        _injection("session killed", "database", 0.5, 1, lambda here, _: KilledSession(here)),
        _injection(
            "PostgreSQL out of disk", "database", 2, 6, lambda here, _: FullDatabaseDisk(here)
        ),
        _injection(
            "PostgreSQL read-only", "database", 2, 8, lambda here, _: ReadOnlyDatabase(here)
        ),
        _injection(
            "database connections cut", "link", 0.1, 3, lambda _, one: CutConnections(one.database)
        ),
        _injection(
            "broker connections cut", "link", 0.1, 3, lambda _, one: CutConnections(one.broker)
        ),
        _injection(
            "all connections cut", "link", 0.1, 2, lambda here, _: CutConnections(*here.links)
        ),
        _injection(
            "database answers frozen",
            "link",
            *(2, 12),
            lambda _, one: FrozenConnections(one.database, requests=False),
        ),
        _injection(
            "database requests frozen",
            "link",
            *(2, 12),
            lambda _, one: FrozenConnections(one.database, requests=True),
        ),
        _injection(
            "broker answers frozen",
            "link",
            *(2, 12),
            lambda _, one: FrozenConnections(one.broker, requests=False),
        ),
        _injection(
            "broker requests frozen",
            "link",
            *(2, 12),
            lambda _, one: FrozenConnections(one.broker, requests=True),
        ),
        _injection("slow database", "link", 4, 12, lambda _, one: SlowConnections(one.database)),
        _injection("slow broker", "link", 4, 12, lambda _, one: SlowConnections(one.broker)),
        _injection("a peer's queue refuses", "broker", 1, 5, lambda here, _: FullQueue(here)),
        _injection(
            "storage silent, then late",
            "restores",
            *(3, 8),
            lambda here, _: SilentStorage(here, late=True),
        ),
        _injection(
            "storage silent until asked again",
            "restores",
            *(3, 8),
            lambda here, _: SilentStorage(here, late=False),
        ),
        _injection(
            "slow tapes",
            "tapes",
            3,
            10,
            lambda here, _: SandboxSetting(here, "nearline_seconds", 4),
        ),
        _injection(
            "each event three times",
            "copies",
            *(3, 10),
            lambda here, _: SandboxSetting(here, "duplicates", 3),
        ),
        _injection(
            "unrelated events", "noise", 3, 8, lambda here, _: SandboxSetting(here, "noise", 3)
        ),
        _injection("old events again, backwards", "old", 1, 8, lambda here, _: OldEvents(here)),
        _injection("rubbish", "broker", 0.5, 1, lambda here, _: Rubbish(here)),
        _injection(
            "storage: 500", "storage", 2, 8, _outage(Service.STORAGE, OutageMode.STATUS, status=500)
        ),
        _injection(
            "storage slow", "storage", 2, 8, _outage(Service.STORAGE, OutageMode.SLOW, seconds=2)
        ),
        _injection(
            "storage unreachable", "storage", 2, 8, _outage(Service.STORAGE, OutageMode.DOWN)
        ),
        _injection(
            "half a file", "files", 2, 8, lambda here, _: SandboxSetting(here, "cut", {EVERY})
        ),
        _injection(
            "wrong bytes",
            "files",
            2,
            8,
            lambda here, _: SandboxSetting(here, "wrong_bytes", {EVERY}),
        ),
        _injection(
            "catalog: 500", "catalog", 2, 8, _outage(Service.CATALOG, OutageMode.STATUS, status=500)
        ),
        _injection(
            "catalog slow", "catalog", 2, 8, _outage(Service.CATALOG, OutageMode.SLOW, seconds=2)
        ),
        _injection(
            "catalog silent", "catalog", 2, 8, _outage(Service.CATALOG, OutageMode.SLOW, seconds=60)
        ),
        _injection(
            "catalog unreachable", "catalog", 2, 8, _outage(Service.CATALOG, OutageMode.DOWN)
        ),
        _injection(
            "half a page of the catalog", "catalog", 2, 8, _outage(Service.CATALOG, OutageMode.HALF)
        ),
        _injection(
            "nonsense of the catalog",
            "catalog",
            2,
            8,
            _outage(Service.CATALOG, OutageMode.NONSENSE),
        ),
        _injection(
            "processing unreachable",
            "processing",
            2,
            8,
            _outage(Service.PROCESSING, OutageMode.DOWN),
        ),
        _injection(
            "processing silent, then backwards",
            "executions",
            2,
            8,
            lambda here, _: SilentProcessing(here),
        ),
        _injection("rs-admin unreachable", "admin", 2, 8, _outage(Service.ADMIN, OutageMode.DOWN)),
        _injection(
            "rs-admin-instance: 503",
            "projects",
            2,
            8,
            _outage(Service.ADMIN_INSTANCE, OutageMode.STATUS),
        ),
    ]
)
"""All kinds by their names. Two injections of the same target never overlap."""


def possible_kinds() -> dict[str, Kind]:
    """Return the kinds that this machine can make: a full disk needs the right to mount one."""
    impossible = set() if may_mount() else {"PostgreSQL out of disk"}
    return {name: one.kind for name, one in INJECTIONS.items() if name not in impossible}
