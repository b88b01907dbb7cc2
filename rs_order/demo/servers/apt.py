"""Installs server packages on Debian and Ubuntu without letting them start their services."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rs_order.demo.servers.commands import run
from rs_order.demo.servers.errors import InstallError

POLICY = Path("/usr/sbin/policy-rc.d")
"""Asked by maintainer scripts whether a service may be started; 101 means no (Debian policy)."""

_WAIT_FOR_OTHERS = ("-o", "DPkg::Lock::Timeout=300")
"""Seconds to wait while somebody else, such as unattended upgrades, installs packages."""

_REFUSE = "#!/bin/sh\nexit 101\n"


async def install(packages: Sequence[str]) -> None:
    """Install packages; the caller made sure that we are root.

    Raises:
        InstallError: with the end of what apt-get said.
    """
    with services_kept_down(POLICY):
        await _apt_get("update", "-q")
        await _apt_get("install", "-q", "-y", "--no-install-recommends", *packages)


@contextmanager
def services_kept_down(policy: Path) -> Iterator[None]:
    """Refuse the start of services while packages are installed.

    A policy that is already there stays as it is: it is the administrator's.
    """
    if policy.exists():
        yield
        return
    policy.write_text(_REFUSE, encoding="ascii")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


async def _apt_get(*arguments: str) -> None:
    environment = dict(os.environ) | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    outcome = await run("apt-get", *_WAIT_FOR_OTHERS, *arguments, environment=environment)
    if not outcome.succeeded:
        end = "\n".join(outcome.output.splitlines()[-10:])
        raise InstallError(f"apt-get {' '.join(arguments)} failed; run it by hand:\n{end}")
