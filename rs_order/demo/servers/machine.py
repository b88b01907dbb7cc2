"""What this machine offers for running servers."""

import os
import shutil
from collections.abc import Mapping, Sequence
from typing import Protocol

from rs_order.demo.servers import apt, containers, programs
from rs_order.demo.servers.kinds import Kind
from rs_order.demo.servers.programs import Programs


class Machine(Protocol):
    @property
    def environment(self) -> Mapping[str, str]: ...

    async def engine_answers(self) -> bool:
        """Tell whether a Docker engine can be used. A client without an engine can't."""

    async def find_programs(self, kind: Kind) -> Programs | None:
        """Return installed programs of this kind that really run."""

    def may_install(self) -> bool:
        """Tell whether packages can be installed: apt-get, and the right to use it."""

    async def install(self, packages: Sequence[str]) -> None:
        """Install Debian packages without starting their services.

        Raises:
            InstallError: apt-get failed.
        """


class ThisMachine:
    """The machine we run on.

    Args:
        environment: where URLs may be given. An empty one makes every server ours.
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
        await apt.install(packages)
