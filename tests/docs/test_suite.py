"""The suite itself: a test names each fact that the chapters fix, and no test sleeps or is disabled."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.slow_first import FILES

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
END_TO_END = ("acceptance", "api")
"""Where the whole service is tested from outside, over AMQP and HTTP."""

SLEEPS = {
    ("support/polling.py", "eventually"): "it polls for conditions that have no signal",
    ("amqp/test_relay.py", "test_there_is_no_claim_while_the_broker_is_unavailable"): (
        "it checks that nothing happens for longer than a run takes, which has no signal"
    ),
    (
        "amqp/test_batch_consumer.py",
        "test_a_message_after_quiet_is_handled_at_once_and_a_trickle_in_batches",
    ): "the same: a batch doesn't close yet",
    (
        "amqp/test_batch_consumer.py",
        "test_a_batch_gathers_for_as_long_as_the_one_before_took",
    ): "the same, after a handling that takes its time",
    ("rest/test_file_download.py", "test_a_slow_client_slows_down_the_source"): (
        "it checks that nothing more is read, which has no signal"
    ),
    ("unit/test_down_within_ten_seconds.py", "_fails_and_is_repaired"): "its clock is simulated",
    ("unit/test_down_within_ten_seconds.py", "_until"): "the same",
    ("support/proxy.py", "TcpProxy"): "it makes a connection slow on purpose",
    ("fault_run/deployment.py", "Instance"): (
        "the pause of an orchestrator before it starts a process again"
    ),
    ("fault_run/load.py", "Customer"): "owners who act at a drawn time, and poll as a browser does",
    ("fault_run/run.py", "Run"): "the timeline of a run is drawn in seconds",
    ("benchmarks/reminders.py", "measure"): "a measurement, which polls another process; no test",
    ("benchmarks/large_deletion.py", "Measurement"): "the same",
    (
        "benchmarks/large_deletion.py",
        "OtherUser",
    ): "a measurement: a user who thinks between two orders",
    (
        "benchmarks/reading_path.py",
        "Measurement",
    ): "a measurement: it ends once nothing was called for a while",
    (
        "benchmarks/statements.py",
        "_until_idle",
    ): "a measurement: it begins once nothing was due for a while",
    ("benchmarks/requesting.py", "Requester"): "a peer that requests orders at a given rate",
    (
        "benchmarks/requesting.py",
        "UnreadResponses",
    ): "a measurement, which counts what is in a queue without reading it",
    (
        "benchmarks/large_orders.py",
        "_watch",
    ): "a measurement, which samples the locks of another process",
    ("benchmarks/paged_service.py", "Hold"): "a measurement of how late the event loop is",
    (
        "benchmarks/end_to_end.py",
        "EndToEnd",
    ): "a measurement: it ends once the rows of the last steps are deleted",
    ("benchmarks/idle.py", "Idle"): "a measurement: it begins when the periodic checks are rare",
    ("benchmarks/idle.py", "cpu_percent"): "a measurement of a time without work",
}
"""The functions that may sleep, and why."""

SKIPS = {
    ("servers/test_private.py", "database"): "tests of servers that this machine may not have",
    ("servers/test_private.py", "private_rabbitmq"): "the same",
    ("support/stac_clients.py", "python_of_clients"): (
        "clients that this machine may not be able to install"
    ),
    ("integration/moving_in/test_real_database.py", "source"): (
        "the rows of a real database lie beside the project, and not everywhere"
    ),
    ("docs/test_documents.py", "test_nothing_of_one_machine_is_in_the_project"): (
        "only git knows what belongs to the project"
    ),
}
"""The tests that may be skipped, and why."""


def _section(chapter: str, heading: str) -> str:
    text = (ROOT / "docs/contract" / chapter).read_text(encoding="utf-8")
    return re.split(r"\n##", text.partition(heading)[2])[0]


ROWS = [
    cell
    for cell in re.findall(r"^\| ([^|]+?) \|", _section("rest.md", "## 14."), re.MULTILINE)
    if cell != "Area"
]
"""The areas in the table of rest.md 14."""


def test_w45_no_test_sleeps() -> None:
    """Tests wait for signals. Exactly those that can't are listed with the reason."""
    assert _users_of(_sleeps) == set(SLEEPS)


def test_w45_no_test_is_disabled() -> None:
    """Only tests that are listed with the reason are skipped or expected to fail."""
    assert _users_of(_skips) == set(SKIPS)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("asyncio.sleep(0)", False),
        ("asyncio.sleep(0.1)", True),
        ("time.sleep(pause)", True),
        ("sleep(1)", True),
        ("asleep(1)", False),
    ],
)
def test_w45_sleeps_are_found(code: str, *, found: bool) -> None:
    """The check above finds a sleep; ``sleep(0)``, which lets other tasks run, is none."""
    assert any(map(_sleeps, ast.walk(ast.parse(code)))) is found


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("@pytest.mark.skip\ndef test(): ...", True),
        ("@pytest.mark.skipif(True, reason='')\ndef test(): ...", True),
        ("pytest.mark.xfail", True),
        ("pytest.importorskip('x')", True),
        ("skipped = line.skip_to", False),
    ],
)
def test_w45_disabled_tests_are_found(code: str, *, found: bool) -> None:
    """The check above finds each way to disable a test."""
    assert any(map(_skips, ast.walk(ast.parse(code)))) is found


def test_the_files_with_known_durations_exist() -> None:
    assert [name for name in FILES if not (TESTS / name).is_file()] == []


@pytest.mark.parametrize("fact", range(1, 15))
def test_every_acceptance_fact_is_an_end_to_end_test(fact: int) -> None:
    """The docstring of a test of the whole service begins with “Fact N” (domain.md 20)."""
    assert any(re.match(rf"Fact {fact}\b", text) for text in _docstrings(END_TO_END))


def test_facts_are_those_of_the_chapter() -> None:
    """The test above has all numbers of the chapter."""
    chapter = _section("domain.md", "## 20.")

    assert re.findall(r"^(\d+)\. ", chapter, re.MULTILINE) == [str(n) for n in range(1, 15)]


@pytest.mark.parametrize("row", ROWS)
def test_every_row_of_rest_14_is_a_test_of_the_whole_service(row: str) -> None:
    """The docstring of a test has “rest.md 14, <row>” for the facts that the original's tests check."""
    assert any(
        re.search(rf"rest\.md 14, {re.escape(row)}\b", text) for text in _docstrings(["api"])
    )


def test_every_named_row_of_rest_14_exists() -> None:
    """A row that a docstring names is in the table."""
    named = {
        name
        for text in _docstrings(["api", "rest"])
        for name in re.findall(r"rest\.md 14, ([^.;:)]+)", " ".join(text.split()))
    }

    assert len(ROWS) == 17
    assert named <= set(ROWS)


def _sleeps(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call) or _last_name(node.func) != "sleep":
        return False
    return not (len(node.args) == 1 and ast.unparse(node.args[0]) == "0")


def _skips(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute | ast.Name) and _last_name(node) in {
        "skip",
        "skipif",
        "xfail",
        "importorskip",
    }


def _last_name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _users_of(found: Callable[[ast.AST], bool]) -> set[tuple[str, str]]:
    """Return path below ``tests`` and outermost function of each node for which ``found`` is true."""
    return {
        (path.relative_to(TESTS).as_posix(), _name_of(statement))
        for path in TESTS.rglob("*.py")
        for statement in _parsed(path).body
        if any(map(found, ast.walk(statement)))
    }


def _name_of(statement: ast.stmt) -> str:
    return str(getattr(statement, "name", "the module"))


def _docstrings(folders: tuple[str, ...] | list[str]) -> Iterator[str]:
    """Yield the docstrings of the tests in these folders."""
    for folder in folders:
        for path in (TESTS / folder).rglob("test_*.py"):
            for node in _parsed(path).body:
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield ast.get_docstring(node) or ""


def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))
