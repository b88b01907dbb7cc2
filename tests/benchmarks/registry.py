"""The benchmarks, in the order of the documents. A name with ``-`` has a module with ``_``."""

from importlib.util import find_spec

_PLANNED = (
    "ingest",
    "ingest-peer",
    "complete",
    "track",
    "dispatch",
    "shares",
    "latency",
    "zip",
    "archives",
    "rest",
    "progress",
    "webhooks",
    "console",
    "end-to-end",
    "idle",
    "several",
    "growth",
    "estimates",
    "moving-in",
)


def module_of(name: str) -> str:
    """Return the name of the module with a benchmark's ``measure``."""
    return f"tests.benchmarks.{name.replace('-', '_')}"


BENCHMARKS = tuple(name for name in _PLANNED if find_spec(module_of(name)) is not None)
