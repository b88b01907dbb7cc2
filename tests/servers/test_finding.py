"""Where servers come from: the first way that works, and a clear line when none does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rs_order.demo.servers import ServersMissingError, running_database
from rs_order.demo.servers.finding import Given, InContainer, Private, Way, find
from rs_order.demo.servers.kinds import Kind
from rs_order.demo.servers.programs import Programs

DATABASE_URL = "postgresql://somebody:secret@elsewhere/orders"
BROKER_URL = "amqp://somebody:secret@elsewhere"
FOUND = Programs(Path("/opt/found"), "1.2")


@dataclass
class FakeMachine:
    """A machine that offers exactly what a test says."""

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


async def way_to_database(machine: FakeMachine) -> Way:
    ways = await find([Kind.DATABASE], machine, lambda _: None)
    return ways[Kind.DATABASE]


async def test_url_comes_first() -> None:
    """A URL in the environment is taken whatever else there is."""
    machine = FakeMachine(
        {"RS_ORDER_DATABASE_URL": DATABASE_URL}, engine=True, programs=set(Kind), root=True
    )

    assert await way_to_database(machine) == Given("RS_ORDER_DATABASE_URL", DATABASE_URL)


async def test_engine_comes_before_programs() -> None:
    """An engine that answers is taken before the programs of the machine."""
    machine = FakeMachine(engine=True, programs=set(Kind), root=True)

    assert await way_to_database(machine) == InContainer()


async def test_programs_come_before_installing() -> None:
    """Nothing is installed where programs are found."""
    machine = FakeMachine(programs=set(Kind), root=True)

    assert await way_to_database(machine) == Private(FOUND, installed=False)
    assert machine.installed == []


async def test_missing_packages_are_installed_in_one_go() -> None:
    """Root on a bare machine gets both packages by one call."""
    machine = FakeMachine(root=True)
    ways = await find(list(Kind), machine, lambda _: None)

    assert ways == dict.fromkeys(Kind, Private(FOUND, installed=True))
    assert machine.installed == ["postgresql", "rabbitmq-server"]


async def test_only_what_is_missing_is_installed() -> None:
    """A machine with PostgreSQL alone gets RabbitMQ alone."""
    machine = FakeMachine(programs={Kind.DATABASE}, root=True)
    await find(list(Kind), machine, lambda _: None)

    assert machine.installed == ["rabbitmq-server"]


async def test_management_url_goes_with_the_broker() -> None:
    """The management URL belongs to the broker given beside it."""
    environment = {
        "RS_ORDER_AMQP_URL": BROKER_URL,
        "RS_ORDER_AMQP_MANAGEMENT_URL": "http://elsewhere:15672",
    }
    ways = await find([Kind.BROKER], FakeMachine(environment), lambda _: None)

    assert ways[Kind.BROKER] == Given("RS_ORDER_AMQP_URL", BROKER_URL, "http://elsewhere:15672")


async def test_one_line_each_without_secrets() -> None:
    """The reader learns which way was taken, and no password."""
    lines: list[str] = []
    environment = {"RS_ORDER_DATABASE_URL": DATABASE_URL}
    await find(list(Kind), FakeMachine(environment, engine=True), lines.append)

    assert lines == [
        "PostgreSQL: the server given by RS_ORDER_DATABASE_URL",
        "RabbitMQ: a container of the Docker engine",
    ]


async def test_nothing_there() -> None:
    """Without any way, one line says what to install or set."""
    with pytest.raises(ServersMissingError) as missing:
        await find(list(Kind), FakeMachine(), lambda _: None)

    assert str(missing.value) == (
        "no PostgreSQL and RabbitMQ here: run 'apt-get install postgresql rabbitmq-server' as"
        " root, start Docker, or set RS_ORDER_DATABASE_URL and RS_ORDER_AMQP_URL"
    )


async def test_nothing_there_stops_the_start() -> None:
    """The error reaches whoever wanted a server."""
    with pytest.raises(ServersMissingError):
        async with running_database(machine=FakeMachine(), report=lambda _: None):
            pytest.fail("there is no server to run with")
