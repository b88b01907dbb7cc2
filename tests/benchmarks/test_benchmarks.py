"""Every benchmark runs: with small sizes, on the servers of the suite."""

import asyncio
import importlib
import re
import sys
from pathlib import Path

import asyncpg
import pytest
from pydantic import TypeAdapter

from rs_order.demo.servers.lifecycle import Servers
from rs_order.demo.servers.machine import Kind
from rs_order.demo.servers.management_api import Management
from rs_order.demo.servers.server_sources import MANAGEMENT_VARIABLE
from tests.benchmarks.document import as_text
from tests.benchmarks.plots import draw
from tests.benchmarks.registry import BENCHMARKS, module_of
from tests.benchmarks.report import Curve, Figure, Report, Run, Target
from tests.benchmarks.rounds import interleaved
from tests.benchmarks.servers import BenchmarkServers, server_addresses, shared
from tests.support.reused_broker import ReusedBroker


@pytest.fixture
def benchmark_servers(
    servers: Servers,
    _database_admin: asyncpg.Connection,
    _management: Management,
    _reused_broker: ReusedBroker,
) -> BenchmarkServers:
    """The servers of the suite, with virtual hosts in which the queues exist."""
    return BenchmarkServers(
        servers, _database_admin, _management, virtual_hosts=_reused_broker.virtual_hosts
    )


@pytest.mark.slow
@pytest.mark.timeout(600)  # it starts processes of the service, and the machine may be busy
@pytest.mark.parametrize("name", BENCHMARKS)
async def test_a_benchmark_runs(
    name: str, benchmark_servers: BenchmarkServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, address in server_addresses(benchmark_servers.servers).items():
        monkeypatch.setenv(variable, address)

    with shared(benchmark_servers):
        report = await importlib.import_module(module_of(name)).measure(quick=True)

    assert report.figures
    assert all(figure.samples for figure in report.figures)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_planning_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a PostgreSQL of its own, which it restarts."""
    for variable in (*(kind.variable for kind in Kind), MANAGEMENT_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    measurement = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.benchmarks.planning"),
        *("--one-by-one", "1", "--waiting", "2"),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await measurement.communicate()

    assert measurement.returncode == 0
    assert len(re.findall(rb"[1-9][0-9.]*% of the time in the database is planning", output)) == 2


async def test_sides_are_measured_in_turn() -> None:
    order: list[str] = []

    async def measure(name: str) -> float:
        order.append(name)
        return len(order)

    samples = await interleaved(2, {"a": lambda: measure("a"), "b": lambda: measure("b")})

    assert order == ["a", "b", "a", "b"]
    assert samples == {"a": (1, 3), "b": (2, 4)}


RUN = Run(
    name="example",
    purpose="An example.",
    quick=True,
    report=Report(
        figures=[Figure("rate", "orders/s", (3.0, 1.0, 2.0))],
        targets=[
            Target("ratio", 0.9, 1.0, at_least=True),
            Target("p99", 9.0, 10.0, at_least=False),
        ],
        curves=[Curve("Time", "files", "s", ((10, 1), (100, 10), (1000, 100)))],
        notes=["10 files"],
    ),
    seconds=1.0,
    peak_mib=10.0,
    circumstances={"Python": "3.11"},
)


def test_a_run_is_the_same_after_it_was_stored() -> None:
    assert TypeAdapter(Run).validate_json(TypeAdapter(Run).dump_json(RUN)) == RUN


def test_a_report_shows_medians_missed_targets_and_exponents(tmp_path: Path) -> None:
    text = as_text(RUN)
    draw(RUN.report.curves[0], tmp_path / "plot.svg")

    assert "rate: 2 orders/s (1 to 3)" in text
    assert "ratio: 0.9, at least 1: MISSED" in text
    assert "p99: 9, at most 10: met" in text
    assert "exponent 1.00" in text
    assert "exponent 1.00" in (tmp_path / "plot.svg").read_text(encoding="utf-8")
