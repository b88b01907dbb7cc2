"""Programs that tests need."""

import pytest

from rs_order.demo.servers.machine import ThisMachine
from tests.support.tools import Tool, ToolMissing, program


class WithoutInstallation(ThisMachine):
    """A machine on which this process may not install packages."""

    def may_install(self) -> bool:
        return False


async def test_a_missing_program_is_named_with_its_package() -> None:
    """The error says in one line what to do."""
    with pytest.raises(ToolMissing, match="run 'apt-get install a-package' as root"):
        await program(Tool("no-such-program", "a-package"), WithoutInstallation())


async def test_an_installed_program_is_found() -> None:
    """Its path is returned, and nothing is installed."""
    assert (await program(Tool("sh", "dash"))).endswith("/sh")
