"""Programs that tests need."""

import pytest

from rs_order.demo.servers.machine import ThisMachine
from tests.support.tools import Tool, ToolMissing, program


async def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """One clear line, where nothing may be installed."""
    monkeypatch.setattr(ThisMachine, "may_install", lambda _: False)

    with pytest.raises(ToolMissing, match="run 'apt-get install a-package' as root"):
        await program(Tool("no-such-program", "a-package"))


async def test_a_program_of_this_machine_is_found() -> None:
    """By its path; nothing is installed."""
    assert (await program(Tool("sh", "dash"))).endswith("/sh")
