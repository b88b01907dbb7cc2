"""Decide where a server comes from: a URL, a container, programs of the machine, or packages."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import assert_never

from rs_order.demo.servers.containers import broker_container, database_container
from rs_order.demo.servers.database_and_broker import Broker, Database
from rs_order.demo.servers.errors import ServersMissingError
from rs_order.demo.servers.handles import ExternalServer
from rs_order.demo.servers.machine import Kind, Machine
from rs_order.demo.servers.postgresql import private_database
from rs_order.demo.servers.programs import Programs
from rs_order.demo.servers.rabbitmq import private_broker

MANAGEMENT_VARIABLE = "RS_ORDER_AMQP_MANAGEMENT_URL"


@dataclass(frozen=True)
class GivenUrl:
    """The server of a URL in the environment."""

    variable: str
    url: str
    management_url: str | None = None

    def __str__(self) -> str:
        return f"the server given by {self.variable}"


@dataclass(frozen=True)
class DockerContainer:
    """A container of a Docker engine that answers."""

    def __str__(self) -> str:
        return "a container of the Docker engine"


@dataclass(frozen=True)
class PrivateServer:
    """A private server, run with programs of this machine."""

    programs: Programs
    installed: bool
    """True if they have just been installed for this."""

    def __str__(self) -> str:
        origin = "installed with apt-get" if self.installed else "found on this machine"
        version = f"version {self.programs.version} in {self.programs.folder}"
        return f"programs {origin} ({version}), run privately"


Source = GivenUrl | DockerContainer | PrivateServer
Report = Callable[[str], None]
"""Shows one line to the user who waits."""


async def find_sources(
    kinds: Sequence[Kind], machine: Machine, report: Report
) -> dict[Kind, Source]:
    """Return the first source that works, for each kind of server.

    Raises:
        ServersMissingError: there is none; the text says what to install.
        InstallError: the packages could not be installed.
    """
    sources: dict[Kind, Source] = {}
    for kind in kinds:
        source = await _present(kind, machine)
        if source is not None:
            sources[kind] = source
    missing = [kind for kind in kinds if kind not in sources]
    if missing:
        sources |= await _installed(missing, machine, report)
    for kind in kinds:
        report(f"{kind.value}: {sources[kind]}")
    return sources


async def prepare_database(source: Source, *, durable: bool) -> Database:
    """Return the database of this source, not started yet."""
    match source:
        case GivenUrl(variable, url):
            return Database(url, ExternalServer(variable))
        case DockerContainer():
            return await database_container(durable=durable)
        case PrivateServer(programs):
            return await private_database(programs, durable=durable)
        case _:
            assert_never(source)


async def prepare_broker(source: Source, *, durable: bool) -> Broker:
    """Return the broker of this source, not started yet."""
    match source:
        case GivenUrl(variable, url, management_url):
            return Broker(url, management_url, ExternalServer(variable))
        case DockerContainer():
            return await broker_container()
        case PrivateServer(programs):
            return private_broker(programs, durable=durable)
        case _:
            assert_never(source)


async def _present(kind: Kind, machine: Machine) -> Source | None:
    url = machine.environment.get(kind.variable)
    if url:
        management = machine.environment.get(MANAGEMENT_VARIABLE) or None
        return GivenUrl(kind.variable, url, management if kind is Kind.BROKER else None)
    if await machine.engine_answers():
        return DockerContainer()
    programs = await machine.find_programs(kind)
    return PrivateServer(programs, installed=False) if programs else None


async def _installed(kinds: Sequence[Kind], machine: Machine, report: Report) -> dict[Kind, Source]:
    packages = [kind.package for kind in kinds]
    if not machine.may_install():
        raise _missing(kinds)
    report(f"installing {' and '.join(packages)} with apt-get, this takes a minute or two")
    await machine.install(packages)
    sources: dict[Kind, Source] = {}
    for kind in kinds:
        programs = await machine.find_programs(kind)
        if programs is None:
            raise _missing([kind])
        sources[kind] = PrivateServer(programs, installed=True)
    return sources


def _missing(kinds: Sequence[Kind]) -> ServersMissingError:
    names = " and ".join(kind.value for kind in kinds)
    packages = " ".join(kind.package for kind in kinds)
    variables = " and ".join(kind.variable for kind in kinds)
    return ServersMissingError(
        f"no {names} here: run 'apt-get install {packages}' as root, start Docker,"
        f" or set {variables}"
    )
