"""Finds the servers, installing them if it must, and tells where they come from.

``python -m rs_order.demo.servers`` starts nothing. It runs before several test processes do, which
would otherwise install the same packages at the same time.
"""

import asyncio
import sys

from rs_order.demo.servers.errors import ServersError
from rs_order.demo.servers.finding import find
from rs_order.demo.servers.kinds import Kind
from rs_order.demo.servers.machine import ThisMachine
from rs_order.demo.servers.running import report_on_stderr


def main() -> None:
    try:
        asyncio.run(find(list(Kind), ThisMachine(), report_on_stderr))
    except ServersError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
