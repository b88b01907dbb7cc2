"""``--quick``: runs only fast tests that need no servers.

There is no list of them. A test is left out if it has the marker ``slow``, if it uses a fixture that starts
a server, directly or through other fixtures, or if its module has the marker ``servers`` because it starts
them in another way.
A test that starts a server without either fails in every run, so the selection stays correct.
"""

import sys
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

import pytest

SERVER_FIXTURES = frozenset({"servers", "own_database", "own_broker"})
SERVER_PROGRAMS = frozenset({"postgres", "initdb", "pg_ctl", "rabbitmq-server", "epmd", "docker"})
SERVER_MODULES = ("rs_order.demo.servers", "/demo/servers/supervisor.py")
"""Parts of the command lines of Python processes that start servers."""


def uses_servers(item: pytest.Item) -> bool:
    """True if a test may start PostgreSQL or RabbitMQ."""
    fixtures = getattr(item, "fixturenames", ())
    return (
        not SERVER_FIXTURES.isdisjoint(fixtures) or item.get_closest_marker("servers") is not None
    )


def is_quick(item: pytest.Item) -> bool:
    return not uses_servers(item) and item.get_closest_marker("slow") is None


def starts_a_server(command: list[str]) -> bool:
    """True if a command line starts PostgreSQL, RabbitMQ or the process that supervises them."""
    if not command or "--version" in command or "--help" in command:
        return False
    if PurePath(command[0]).name in SERVER_PROGRAMS:
        return True
    if any(module in argument for argument in command for module in SERVER_MODULES):
        return True
    return command[1:4] == ["-m", "rs_order", "demo"]


class ServerStarts:
    """Fails a test that starts a server without fixture or marker; uses the interpreter's audit events."""

    def __init__(self) -> None:
        self._forbidden = False
        sys.addaudithook(self._check)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._forbidden = not uses_servers(item)
        try:
            return (yield)
        finally:
            self._forbidden = False

    def _check(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._forbidden and event == "subprocess.Popen":
            command = [str(word) for word in arguments[1]]
            if starts_a_server(command):
                pytest.fail(f"starts a server, but has no fixture or marker for it: {command}")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="only tests without servers")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(ServerStarts(), "server-starts")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--quick"):
        return
    config.hook.pytest_deselected(items=[item for item in items if not is_quick(item)])
    items[:] = [item for item in items if is_quick(item)]
