"""Finds the programs that tests call, or installs them where that is allowed.

``python -m tests.support.tools`` installs what is missing. Run it before starting several test processes,
which would otherwise install the same packages at the same time.
"""

import asyncio
import shutil
import sys
from dataclasses import dataclass

from rs_order.demo.servers.errors import ServersError
from rs_order.demo.servers.machine import Machine, ThisMachine


@dataclass(frozen=True, slots=True)
class Tool:
    program: str
    package: str
    """Its package in Debian and Ubuntu."""


ARIA2 = Tool("aria2c", "aria2")
"""Downloads the files of a metalink, and archives in parallel parts."""
CHROMIUM = Tool("chromium", "chromium")
"""Shows the pages of the console."""
CURL = Tool("curl", "curl")
"""Calls REST in the tutorial, and downloads archives in parts."""
BSDTAR = Tool("bsdtar", "libarchive-tools")
"""Unpacks zips, also from a pipe."""
GNU_TAR = Tool("tar", "tar")
"""Unpacks tars."""
JAVA_COMPILER = Tool("javac", "default-jdk-headless")
"""Comes with the ``java`` that runs source files, and reads zips as most clients of REGARDS do."""
SEVEN_ZIP = Tool("7z", "p7zip-full")
"""Unpacks zips."""
UNZIP = Tool("unzip", "unzip")
"""Unpacks zips."""
WGET = Tool("wget", "wget")
"""Downloads archives in parts, and the addresses of a list."""
XMLLINT = Tool("xmllint", "libxml2-utils")
"""Checks documents against a schema."""
JQ = Tool("jq", "jq")
"""Reads JSON in the tutorial."""
PROMTOOL = Tool("promtool", "prometheus")
"""Checks the alert rules."""
PSQL = Tool("psql", "postgresql-client")
"""Runs the statements of the runbook."""


ALL = (
    ARIA2,
    BSDTAR,
    CHROMIUM,
    CURL,
    GNU_TAR,
    JAVA_COMPILER,
    JQ,
    PROMTOOL,
    PSQL,
    SEVEN_ZIP,
    UNZIP,
    WGET,
    XMLLINT,
)


class ToolMissing(Exception):
    """A program is missing and can't be installed; the text says what to do."""


async def program(tool: Tool, machine: Machine | None = None) -> str:
    """Return the path of a tool's program. It is installed on ``machine``, by default this one.

    Raises:
        ToolMissing: it isn't installed, and installing isn't allowed.
        InstallError: apt-get failed.
    """
    found, machine = shutil.which(tool.program), machine or ThisMachine()
    if found is None and machine.may_install():
        await machine.install([tool.package])
        found = shutil.which(tool.program)
    if found is None:
        raise ToolMissing(
            f"{tool.program} is missing: run 'apt-get install {tool.package}' as root"
        )
    return found


async def _find_all() -> None:
    for tool in ALL:
        await program(tool)


def main() -> None:
    try:
        asyncio.run(_find_all())
    except (ServersError, ToolMissing) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
