"""Short-lived commands: is it there, does it run, what did it say."""

import asyncio
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Outcome:
    status: int
    output: str
    """Standard output and error, as they came."""

    @property
    def succeeded(self) -> bool:
        return self.status == 0


async def run(
    *command: str | Path,
    environment: Mapping[str, str] | None = None,
    folder: str | None = None,
    account: str | None = None,
) -> Outcome:
    """Run a command to its end.

    Args:
        command: the program and its arguments.
        environment: replaces ours when given.
        folder: where it runs, ours when not given.
        account: runs as this user; needs root.

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
    return Outcome(process.returncode or 0, output.decode(errors="replace").strip())
