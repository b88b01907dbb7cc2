"""Counts the files that one opens to follow a message through the service.

    python -m tests.benchmarks.reading_path [--list]

Three flows are counted: from an order request to its GRANTED response, from a storage event to the
SUBORDER_DONE response, and from the HTTP request for a zip to the restore request of the owner's next
sub-order. The count is measured, not read: the service runs in this process on real servers, beside the
sandbox. Each flow is the first of its kind after the start, so no cache shortens it.

- A Python file counts if one of its functions ran. Constructors don't count: to build an object is wiring.
  Bodies of modules and classes, and methods that a library generated, don't count either. So a module
  that holds only types is not counted, although a reader may open it.
- An SQL file counts if one of its statements ran.
- What also runs while the service has nothing to do is left out.
- The last step of a flow writes a message to the outbox, and may start further work at once. Therefore only
  the relay and the task that committed are counted from this commit on, until the message is published.
- The sandbox and the demo are not part of the product and don't count.
"""

# ruff: noqa: T201 - a measurement prints its figures

import argparse
import asyncio
import inspect
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import rs_order
from rs_order.demo.servers.lifecycle import running_servers
from rs_order.sandbox.faults import Faults
from rs_order.sandbox.synthetic import SyntheticDataset
from tests.acceptance.platform import Platform, running_platform
from tests.support.servers import FreshBroker

ROOT = Path(rs_order.__file__).parent
OUTSIDE = ("sandbox/", "demo/")
CONSTRUCTORS = ("__init__", "__new__", "__post_init__")
RELAY = "/relay.py"
QUIET_SECONDS = 1.5
"""How long the service is observed to find out what it does without work."""
LONGEST_SECONDS = 60.0

FILE_BYTES = 1_200_000
"""More than fits into a sub-order with another file, so that each file has its own sub-order."""


def named_statements() -> dict[str, str]:
    """Return the SQL files of all named statements by their text."""
    found = {}
    for path in ROOT.rglob("*.sql"):
        for block in path.read_text().split("-- name: ")[1:]:
            found[block.partition("\n")[2].strip()] = str(path.relative_to(ROOT))
    return found


@dataclass(frozen=True, slots=True)
class Goal:
    """The message that ends a flow."""

    written: str
    """Part of the arguments of the statement that writes it."""
    exchange: str
    """Part of the name of the exchange that it is published to."""
    body: bytes = b""
    """Part of its body."""


@dataclass
class Recorder:
    """Notes which functions and statements run; sees every call in this thread while it records."""

    statements: Mapping[str, str]
    goal: Goal | None = None
    functions: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Names of the functions that ran, by file."""
    sql: set[str] = field(default_factory=set)
    """Files with statements that ran."""
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the goal is published."""
    _writer: Any = None
    """The connection that wrote the goal and hasn't committed yet."""
    _committed_by: "asyncio.Task[Any] | None" = None

    @contextmanager
    def recording(self) -> Iterator[None]:
        sys.setprofile(self._note)
        try:
            yield
        finally:
            sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        if event != "call" or self.reached.is_set():
            return
        file = frame.f_code.co_filename
        if file.startswith(f"{ROOT}/"):
            if self._in_the_flow(frame):
                self._note_function(file[len(f"{ROOT}/") :], frame)
        elif file.endswith("/asyncpg/connection.py"):
            if self._in_the_flow(frame):
                self._note_statement(frame)
        elif file.endswith("/aio_pika/exchange.py") and frame.f_code.co_name == "publish":
            self._note_publication(frame)

    def _in_the_flow(self, frame: FrameType) -> bool:
        if self._committed_by is None or asyncio.current_task() is self._committed_by:
            return True
        return any(caller.f_code.co_filename.endswith(RELAY) for caller in _stack(frame))

    def _note_function(self, file: str, frame: FrameType) -> None:
        code = frame.f_code
        is_function = code.co_flags & inspect.CO_OPTIMIZED
        if is_function and code.co_name not in CONSTRUCTORS and not file.startswith(OUTSIDE):
            self.functions[file].add(code.co_qualname.partition(".<locals>")[0])

    def _note_statement(self, frame: FrameType) -> None:
        query = frame.f_locals.get("query")
        if not isinstance(query, str):
            return
        if query in self.statements:
            self.sql.add(self.statements[query])
        connection = frame.f_locals["self"]
        if self.goal is not None and self.goal.written in repr(frame.f_locals.get("args")):
            self._writer = connection
        if self._writer is connection and query == "COMMIT;":
            self._committed_by = asyncio.current_task()

    def _note_publication(self, frame: FrameType) -> None:
        if self.goal is None:
            return
        exchange, message = frame.f_locals["self"], frame.f_locals["message"]
        if self.goal.exchange in exchange.name and self.goal.body in message.body:
            self.reached.set()


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


@dataclass(frozen=True, slots=True)
class Flow:
    """The files of a flow, with the functions that ran in them."""

    name: str
    python: Mapping[str, set[str]]
    sql: set[str]

    def __str__(self) -> str:
        python, sql = len(self.python), len(self.sql)
        return f"| {self.name} | {python} | {sql} | {python + sql} |"

    @property
    def listed(self) -> str:
        python = (
            f"  {file}: {', '.join(sorted(self.python[file]))}" for file in sorted(self.python)
        )
        return "\n".join([f"{self.name}:", *python, *(f"  {file}" for file in sorted(self.sql))])


class Measurement:
    """Measures flows in a running service."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._statements = named_statements()
        self.flows: list[Flow] = []

    async def flow(self, name: str, goal: Goal, begin: Callable[[], Awaitable[Any]]) -> Any:
        """Measure the flow that ``begin`` starts, and return the result of ``begin``."""
        background = await self._background()
        recorder = Recorder(self._statements, goal)
        with recorder.recording():
            result = await begin()
            async with asyncio.timeout(LONGEST_SECONDS):
                await recorder.reached.wait()
        python = {
            file: functions - background.get(file, set())
            for file, functions in recorder.functions.items()
        }
        self.flows.append(
            Flow(name, {file: some for file, some in python.items() if some}, recorder.sql)
        )
        return result

    async def _background(self) -> Mapping[str, set[str]]:
        """Return the functions that run while there is no work, once the service is idle."""
        last: Mapping[str, set[str]] | None = None
        while True:
            recorder = Recorder(self._statements)
            with recorder.recording():
                await asyncio.sleep(QUIET_SECONDS)
            if recorder.functions == last:
                return last
            last = recorder.functions


async def measure() -> list[Flow]:
    faults = Faults(silence=True)
    limits = {"max_storage_files_jobs_per_user": 1, "files_bucket_size_mb": 1}
    dataset = SyntheticDataset(name="D", products=2, size=FILE_BYTES)
    async with running_service(dataset, faults, **limits) as platform:
        measurement = Measurement(platform)
        queries = [f'providerId:"SYN_D_{number:07d}"' for number in (1, 2)]
        correlation_id = await measurement.flow(
            "order request to GRANTED",
            Goal("GRANTED", "OrderResponse", b'"GRANTED"'),
            lambda: platform.peer.order(*queries),
        )
        granted = await platform.peer.until(correlation_id, "GRANTED")
        await platform.sandbox.restores.wait_for_requests(1)
        await measurement.flow(
            "storage event to SUBORDER_DONE",
            Goal("SUBORDER_DONE", "OrderResponse", b'"SUBORDER_DONE"'),
            lambda: _release(platform),
        )
        await platform.peer.until(correlation_id, "SUBORDER_DONE")
        answer = await measurement.flow(
            "zip to the owner's next sub-order",
            Goal("RESTORE_REQUEST", "FilesRestorationRequest"),
            lambda: platform.download(granted.body["orderId"]),
        )
        answer.raise_for_status()
        await platform.sandbox.restores.wait_for_requests(2)
        return measurement.flows


async def _release(platform: Platform) -> None:
    """Let storage make the requested files available."""
    platform.sandbox.restores.release()


@asynccontextmanager
async def running_service(
    dataset: SyntheticDataset, faults: Faults | None = None, **settings: Any
) -> AsyncIterator[Platform]:
    """Run the service in this process, on servers of its own and beside a sandbox with one dataset."""
    async with running_servers(durable=False) as servers:
        broker = FreshBroker(
            servers.amqp_url,
            servers.management_url or "",
            "regards.multitenant.manager",
            "regards.instance.manager",
        )
        async with (
            running_platform(
                broker,
                servers.database_url,
                archive=None,
                synthetic=(dataset,),
                faults=faults,
                **settings,
            ) as platform,
            platform.service(),
        ):
            yield platform


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", action="store_true", help="print the files of each flow")
    arguments = parser.parse_args()
    flows = asyncio.run(measure())
    rows = "\n".join(map(str, flows))
    print(
        f"| Files of the flow from | Python | SQL | together |\n| --- | ---: | ---: | ---: |\n{rows}"
    )
    if arguments.list:
        print("\n" + "\n\n".join(flow.listed for flow in flows))


if __name__ == "__main__":
    main()
