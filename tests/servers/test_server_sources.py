"""Servers come from the first source that works; if none works, one clear line says what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rs_order.demo.servers.errors import ServersMissingError
from rs_order.demo.servers.lifecycle import running_database
from rs_order.demo.servers.machine import Kind
from rs_order.demo.servers.programs import Programs
from rs_order.demo.servers.server_sources import (
    DockerContainer,
    GivenUrl,
    PrivateServer,
    Source,
    find_sources,
)

DATABASE_URL = "postgresql://somebody:secret@elsewhere/orders"
BROKER_URL = "amqp://somebody:secret@elsewhere"
FOUND = Programs(Path("/opt/found"), "1.2")


@dataclass
class FakeMachine:
    """A machine that offers exactly what a test sets."""

    environment: Mapping[str, str] = field(default_factory=dict)
    engine: bool = False
    programs: set[Kind] = field(default_factory=set)
    root: bool = False
    installed: list[str] = field(default_factory=list)

    async def engine_answers(self) -> bool:
        return self.engine

    async def find_programs(self, kind: Kind) -> Programs | None:
        return FOUND if kind in self.programs or kind.package in self.installed else None

    def may_install(self) -> bool:
        return self.root

    async def install(self, packages: Sequence[str]) -> None:
        self.installed += packages


async def source_of_database(machine: FakeMachine) -> Source:
    sources = await find_sources([Kind.DATABASE], machine, lambda _: None)
    return sources[Kind.DATABASE]


async def test_url_comes_first() -> None:
    """A URL in the environment comes before all other sources."""
    machine = FakeMachine(
        {"RS_ORDER_DATABASE_URL": DATABASE_URL}, engine=True, programs=set(Kind), root=True
    )

    assert await source_of_database(machine) == GivenUrl("RS_ORDER_DATABASE_URL", DATABASE_URL)


async def test_engine_comes_before_programs() -> None:
    """An engine that answers comes before the programs of the machine."""
    machine = FakeMachine(engine=True, programs=set(Kind), root=True)

    assert await source_of_database(machine) == DockerContainer()


async def test_programs_come_before_installing() -> None:
    """Programs that are found are used, and nothing is installed."""
    machine = FakeMachine(programs=set(Kind), root=True)

    assert await source_of_database(machine) == PrivateServer(FOUND, installed=False)
    assert machine.installed == []


async def test_missing_packages_are_installed_in_one_go() -> None:
    """On a bare machine, root installs both packages with one call."""
    machine = FakeMachine(root=True)
    sources = await find_sources(list(Kind), machine, lambda _: None)

    assert sources == dict.fromkeys(Kind, PrivateServer(FOUND, installed=True))
    assert machine.installed == ["postgresql", "rabbitmq-server"]


async def test_only_what_is_missing_is_installed() -> None:
    """On a machine with PostgreSQL, only RabbitMQ is installed."""
    machine = FakeMachine(programs={Kind.DATABASE}, root=True)
    await find_sources(list(Kind), machine, lambda _: None)

    assert machine.installed == ["rabbitmq-server"]


async def test_management_url_goes_with_the_broker() -> None:
    """The management URL belongs to the broker given beside it."""
    environment = {
        "RS_ORDER_AMQP_URL": BROKER_URL,
        "RS_ORDER_AMQP_MANAGEMENT_URL": "http://elsewhere:15672",
    }
    sources = await find_sources([Kind.BROKER], FakeMachine(environment), lambda _: None)

    assert sources[Kind.BROKER] == GivenUrl(
        "RS_ORDER_AMQP_URL", BROKER_URL, "http://elsewhere:15672"
    )


async def test_one_line_each_without_secrets() -> None:
    """The lines name the source of each server, and no password."""
    lines: list[str] = []
    environment = {"RS_ORDER_DATABASE_URL": DATABASE_URL}
    await find_sources(list(Kind), FakeMachine(environment, engine=True), lines.append)

    assert lines == [
        "PostgreSQL: the server given by RS_ORDER_DATABASE_URL",
        "RabbitMQ: a container of the Docker engine",
    ]


async def test_nothing_there() -> None:
    """Without any source, one line says what to install or set."""
    with pytest.raises(ServersMissingError) as missing:
        await find_sources(list(Kind), FakeMachine(), lambda _: None)

    assert str(missing.value) == (
        "no PostgreSQL and RabbitMQ here: run 'apt-get install postgresql rabbitmq-server' as"
        " root, start Docker, or set RS_ORDER_DATABASE_URL and RS_ORDER_AMQP_URL"
    )


async def test_nothing_there_stops_the_start() -> None:
    """The error reaches the caller who needs a server."""
    with pytest.raises(ServersMissingError):
        async with running_database(machine=FakeMachine(), report=lambda _: None):
            pytest.fail("there is no server to run with")
