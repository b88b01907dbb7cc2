"""What this machine offers to run servers: URLs in its environment, Docker, programs, packages."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Protocol

from rs_order.demo.servers import containers, programs
from rs_order.demo.servers.errors import InstallError
from rs_order.demo.servers.programs import Programs, run

POLICY = Path("/usr/sbin/policy-rc.d")
"""Maintainer scripts ask it if they may start a service; 101 means no (Debian policy)."""

_REFUSE = "#!/bin/sh\nexit 101\n"

_WAIT_FOR_LOCK = ("-o", "DPkg::Lock::Timeout=300")
"""Seconds to wait while another program, such as unattended upgrades, installs packages."""


class Kind(Enum):
    """A server that the order service needs."""

    DATABASE = "PostgreSQL"
    BROKER = "RabbitMQ"

    @property
    def variable(self) -> str:
        """The environment variable that may hold the URL of the server."""
        match self:
            case Kind.DATABASE:
                return "RS_ORDER_DATABASE_URL"
            case Kind.BROKER:
                return "RS_ORDER_AMQP_URL"

    @property
    def package(self) -> str:
        """The package of Debian and Ubuntu that holds the programs."""
        match self:
            case Kind.DATABASE:
                return "postgresql"
            case Kind.BROKER:
                return "rabbitmq-server"


class Machine(Protocol):
    @property
    def environment(self) -> Mapping[str, str]: ...

    async def engine_answers(self) -> bool:
        """Return True if a Docker engine answers. A client alone is not enough."""

    async def find_programs(self, kind: Kind) -> Programs | None:
        """Return installed programs of this kind that really run, or None."""

    def may_install(self) -> bool:
        """Return True if there is apt-get, and the right to use it."""

    async def install(self, packages: Sequence[str]) -> None:
        """Install Debian packages without starting their services.

        Raises:
            InstallError: apt-get failed.
        """


class ThisMachine:
    """The machine that this process runs on.

    Args:
        environment: may hold URLs of servers. With an empty one, every server is started here.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._environment = environment

    @property
    def environment(self) -> Mapping[str, str]:
        return self._environment

    async def engine_answers(self) -> bool:
        return await containers.engine_answers()

    async def find_programs(self, kind: Kind) -> Programs | None:
        match kind:
            case Kind.DATABASE:
                return await programs.find_postgresql()
            case Kind.BROKER:
                return await programs.find_rabbitmq()

    def may_install(self) -> bool:
        return os.geteuid() == 0 and shutil.which("apt-get") is not None

    async def install(self, packages: Sequence[str]) -> None:
        with services_kept_down(POLICY):
            await _apt_get("update", "-q")
            await _apt_get("install", "-q", "-y", "--no-install-recommends", *packages)


@contextmanager
def services_kept_down(policy: Path) -> Iterator[None]:
    """Forbid the start of services while packages are installed.

    A policy that is already there stays as it is: it belongs to the administrator.
    """
    if policy.exists():
        yield
        return
    policy.write_text(_REFUSE, encoding="ascii")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


async def _apt_get(*arguments: str) -> None:
    environment = dict(os.environ) | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    result = await run("apt-get", *_WAIT_FOR_LOCK, *arguments, environment=environment)
    if not result.succeeded:
        end = "\n".join(result.output.splitlines()[-10:])
        raise InstallError(f"apt-get {' '.join(arguments)} failed; run it by hand:\n{end}")
