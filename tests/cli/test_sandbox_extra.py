"""The commands of the extra ``sandbox`` say what to install when it is missing."""

import subprocess
import sys

import pytest

WITHOUT_LARK = """
import sys
from importlib.abc import MetaPathFinder

class Blocker(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "lark":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
from rs_order.cli import app
app()
"""


def run_without_lark(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", WITHOUT_LARK, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("command", ["sandbox", "demo"])
def test_missing_extra_is_named(command: str) -> None:
    """Without lark the command fails with one line that says what to install."""
    ended = run_without_lark(command)

    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    assert "pip install 'rs-order[sandbox]'" in ended.stderr


def test_service_does_without_the_extra() -> None:
    """A failing command of the service still explains itself in one line."""
    ended = run_without_lark("tenant", "add", "No Tenant!")

    assert ended.returncode != 0
    assert ended.stderr.count("\n") == 1
    assert "No module named" not in ended.stderr
    assert "Unexpected" not in ended.stderr
