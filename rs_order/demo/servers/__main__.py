"""Find the servers, install them if needed, and print where they come from, without starting them.

``scripts/test`` runs ``python -m rs_order.demo.servers`` before several test processes start, which would
otherwise install the same packages at the same time.
"""

import asyncio
import sys

from rs_order.demo.servers.errors import ServersError
from rs_order.demo.servers.lifecycle import report_on_stderr
from rs_order.demo.servers.machine import Kind, ThisMachine
from rs_order.demo.servers.server_sources import find_sources


def main() -> None:
    try:
        asyncio.run(find_sources(list(Kind), ThisMachine(), report_on_stderr))
    except ServersError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
