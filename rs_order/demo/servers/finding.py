"""How servers are found: given, in a container, programs of the machine, installed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import assert_never

from rs_order.demo.servers.containers import broker_container, database_container
from rs_order.demo.servers.errors import ServersMissingError
from rs_order.demo.servers.keepers import Lent
from rs_order.demo.servers.kinds import Kind
from rs_order.demo.servers.machine import Machine
from rs_order.demo.servers.postgresql import private_database
from rs_order.demo.servers.programs import Programs
from rs_order.demo.servers.rabbitmq import private_broker
from rs_order.demo.servers.server import Broker, Database

MANAGEMENT_VARIABLE = "RS_ORDER_AMQP_MANAGEMENT_URL"


@dataclass(frozen=True)
class Given:
    """By its URL, in the environment."""

    variable: str
    url: str
    management_url: str | None = None

    def __str__(self) -> str:
        return f"the server given by {self.variable}"


@dataclass(frozen=True)
class InContainer:
    """By a Docker engine that answers."""

    def __str__(self) -> str:
        return "a container of the Docker engine"


@dataclass(frozen=True)
class Private:
    """By programs of this machine."""

    programs: Programs
    installed: bool
    """By us, a moment ago."""

    def __str__(self) -> str:
        origin = "installed with apt-get" if self.installed else "found on this machine"
        version = f"version {self.programs.version} in {self.programs.folder}"
        return f"programs {origin} ({version}), run privately"


Way = Given | InContainer | Private
Report = Callable[[str], None]
"""Takes one line for the person who waits."""


async def find(kinds: Sequence[Kind], machine: Machine, report: Report) -> dict[Kind, Way]:
    """Decide where each server comes from: the first way that works.

    Raises:
        ServersMissingError: there is no way; says what to install.
        InstallError: the packages could not be installed.
    """
    ways: dict[Kind, Way] = {}
    for kind in kinds:
        way = await _present(kind, machine)
        if way is not None:
            ways[kind] = way
    missing = [kind for kind in kinds if kind not in ways]
    if missing:
        ways |= await _installed(missing, machine, report)
    for kind in kinds:
        report(f"{kind.value}: {ways[kind]}")
    return ways


async def database_by(way: Way, *, durable: bool) -> Database:
    """Prepare the database this way leads to; it isn't started yet."""
    match way:
        case Given(variable, url):
            return Database(url, Lent(variable))
        case InContainer():
            return await database_container(durable=durable)
        case Private(programs):
            return await private_database(programs, durable=durable)
        case _:
            assert_never(way)


async def broker_by(way: Way, *, durable: bool) -> Broker:
    """Prepare the broker this way leads to; it isn't started yet."""
    match way:
        case Given(variable, url, management_url):
            return Broker(url, management_url, Lent(variable))
        case InContainer():
            return await broker_container()
        case Private(programs):
            return private_broker(programs, durable=durable)
        case _:
            assert_never(way)


async def _present(kind: Kind, machine: Machine) -> Way | None:
    url = machine.environment.get(kind.variable)
    if url:
        management = machine.environment.get(MANAGEMENT_VARIABLE) or None
        return Given(kind.variable, url, management if kind is Kind.BROKER else None)
    if await machine.engine_answers():
        return InContainer()
    programs = await machine.find_programs(kind)
    return Private(programs, installed=False) if programs else None


async def _installed(kinds: Sequence[Kind], machine: Machine, report: Report) -> dict[Kind, Way]:
    packages = [kind.package for kind in kinds]
    if not machine.may_install():
        raise _missing(kinds)
    report(f"installing {' and '.join(packages)} with apt-get, this takes a minute or two")
    await machine.install(packages)
    ways: dict[Kind, Way] = {}
    for kind in kinds:
        programs = await machine.find_programs(kind)
        if programs is None:
            raise _missing([kind])
        ways[kind] = Private(programs, installed=True)
    return ways


def _missing(kinds: Sequence[Kind]) -> ServersMissingError:
    names = " and ".join(kind.value for kind in kinds)
    packages = " ".join(kind.package for kind in kinds)
    variables = " and ".join(kind.variable for kind in kinds)
    return ServersMissingError(
        f"no {names} here: run 'apt-get install {packages}' as root, start Docker,"
        f" or set {variables}"
    )
