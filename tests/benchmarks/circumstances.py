"""The circumstances of a run: the date, the machine, the versions, and the memory of this process."""

import os
import platform
import resource
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

from tests.benchmarks.servers import server_circumstances

LIBRARIES = ("asyncpg", "aio-pika", "pydantic", "fastapi", "uvloop")


def load() -> float:
    """Return how many processes wanted to run during the last minute: what else the machine does."""
    return os.getloadavg()[0]


def circumstances(load_before: float) -> dict[str, str]:
    """Return the date, the machine, its load, and the versions of the programs and libraries of this run."""
    memory = psutil.virtual_memory().total / 2**30
    return {
        "Date": datetime.now(UTC).date().isoformat(),
        "Load": f"{load_before:.1f} before the run",
        "Machine": f"{os.cpu_count()} x {_processor()}, {memory:.0f} GiB, {platform.system()}",
        "Python": platform.python_version(),
        **{library: version(library) for library in LIBRARIES},
        **server_circumstances,
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def peak_mib() -> float:
    """Return the most memory that this process had resident."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
