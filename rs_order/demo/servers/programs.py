"""Programs of this machine: run a short command, and find the programs of a server that really run."""

import asyncio
import re
import shutil
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

_DEBIAN_POSTGRESQL = Path("/usr/lib/postgresql")
"""One folder per version. Debian and Ubuntu keep the programs off the PATH."""

_RABBITMQ_HOMES = (Path("/usr/lib/rabbitmq/bin"), Path("/usr/lib/rabbitmq/sbin"))
"""Hold the plain script. The one on the PATH of Debian insists on the account rabbitmq."""


@dataclass(frozen=True)
class CommandResult:
    status: int
    output: str
    """Standard output and standard error, in the order in which they came."""

    @property
    def succeeded(self) -> bool:
        return self.status == 0


async def run(
    *command: str | Path,
    environment: Mapping[str, str] | None = None,
    folder: str | None = None,
    account: str | None = None,
) -> CommandResult:
    """Run a command to its end.

    Args:
        command: the program and its arguments.
        environment: replaces the environment of this process.
        folder: the working directory; by default that of this process.
        account: the user to run as; needs root.

    Raises:
        OSError: the program can't be executed at all.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        env=environment,
        cwd=folder,
        user=account,
        group=account,
        extra_groups=[] if account else None,
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    return CommandResult(process.returncode or 0, output.decode(errors="replace").strip())


@dataclass(frozen=True)
class Programs:
    """The programs of one server."""

    folder: Path
    version: str


async def find_postgresql() -> Programs | None:
    """Return the newest PostgreSQL whose programs run, or None."""
    for folder in _postgresql_folders():
        version = await _postgresql_version(folder)
        if version is not None:
            return Programs(folder, version)
    return None


async def find_rabbitmq() -> Programs | None:
    """Return a RabbitMQ whose Erlang runs, or None."""
    if not await _erlang_runs():
        return None
    for folder in _rabbitmq_folders():
        script = folder / "rabbitmq-server"
        if _is_program(script):
            return Programs(folder, _rabbitmq_version(script))
    return None


def _postgresql_folders() -> list[Path]:
    versions = sorted(_DEBIAN_POSTGRESQL.glob("*/bin"), key=_version_of, reverse=True)
    return [*versions, *_folder_on_path("initdb")]


def _version_of(folder: Path) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", folder.parent.name))


async def _postgresql_version(folder: Path) -> str | None:
    outputs = [await _version_line(folder / name) for name in ("initdb", "postgres")]
    found = [re.search(r"\d+(\.\d+)*", output) for output in outputs if output is not None]
    matches = [match.group() for match in found if match is not None]
    return matches[-1] if len(matches) == len(outputs) else None


async def _version_line(program: Path) -> str | None:
    """Return the output of ``--version``, or None if the program is absent or fails."""
    try:
        result = await run(program, "--version")
    except OSError:
        return None
    return result.output if result.succeeded else None


async def _erlang_runs() -> bool:
    # rabbitmq-server knows no --version, and rabbitmqctl would leave an epmd daemon behind.
    try:
        return (await run("erl", "+V")).succeeded
    except OSError:
        return False


def _rabbitmq_folders() -> Iterable[Path]:
    return [*_RABBITMQ_HOMES, *_folder_on_path("rabbitmq-server")]


def _rabbitmq_version(script: Path) -> str:
    """Return the version in the name of the installation's folder (``rabbitmq_server-3.10.8``)."""
    match = re.search(r"rabbitmq_server-([\d.]+)", str(script.resolve()))
    return match.group(1) if match else "of unknown version"


def _folder_on_path(program: str) -> list[Path]:
    found = shutil.which(program)
    return [Path(found).resolve().parent] if found else []


def _is_program(path: Path) -> bool:
    return shutil.which(str(path)) is not None
