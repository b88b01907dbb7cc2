"""Programs that tests use as a user would: found on this machine, or installed when that is allowed.

``python -m tests.support.tools`` only makes sure of them. It runs before several test processes do, which
would otherwise install the same packages at the same time.
"""

import asyncio
import shutil
import sys
from dataclasses import dataclass

from rs_order.demo.servers.errors import ServersError
from rs_order.demo.servers.machine import ThisMachine


@dataclass(frozen=True, slots=True)
class Tool:
    program: str
    package: str
    """The package of Debian and Ubuntu that holds it."""


ARIA2 = Tool("aria2c", "aria2")
"""Downloads what a metalink lists, as download managers do."""
CURL = Tool("curl", "curl")
"""Calls REST in the tutorial."""
JQ = Tool("jq", "jq")
"""Reads JSON in the tutorial."""


class ToolMissing(Exception):
    """A program isn't here and can't be installed; the text says what to do."""


async def program(tool: Tool) -> str:
    """The path of a tool's program.

    Raises:
        ToolMissing: it isn't here, and we may not install it.
        InstallError: apt-get failed.
    """
    found, machine = shutil.which(tool.program), ThisMachine()
    if found is None and machine.may_install():
        await machine.install([tool.package])
        found = shutil.which(tool.program)
    if found is None:
        raise ToolMissing(f"no {tool.program} here: run 'apt-get install {tool.package}' as root")
    return found


async def _all() -> None:
    for tool in (ARIA2, CURL, JQ):
        await program(tool)


def main() -> None:
    try:
        asyncio.run(_all())
    except (ServersError, ToolMissing) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
