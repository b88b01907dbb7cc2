"""Runs pip-audit over the pinned dependencies, and says what it found or why it found nothing."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
FILES: Final = ("requirements.txt", "dev.txt", "build.txt")
TIMEOUT_SECONDS: Final = 180.0


@dataclass(frozen=True, slots=True)
class Audit:
    """The result of an audit."""

    text: str
    failed: bool = False


def audit_of(report: str | None) -> Audit:
    """Return the result that a report of pip-audit means.

    Args:
        report: its JSON, or None if there is none because no service answered.
    """
    if not report:
        return Audit("skipped: the service that knows vulnerabilities isn't reachable")
    packages = json.loads(report)["dependencies"]
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    known = [package for package in packages if "skip_reason" not in package]
    if not known:
        return Audit("skipped: the service that knows vulnerabilities knows none of the packages")
    found = [
        f"{package['name']} {package['version']}: {flaw['id']}, fixed in "
        f"{', '.join(flaw['fix_versions']) or 'no version'}"
        for package in known
        for flaw in package["vulns"]
    ]
    checked = f"{len(known)} packages checked, {len(found)} known vulnerabilities"
    left_out = f"; not checked: {', '.join(unknown)}" if unknown else ""
    return Audit("\n".join([checked + left_out, *found]), failed=bool(found))


def main() -> None:
    """Print the result; the exit code is 1 if there is a known vulnerability."""
    audit = audit_of(_report())
    print(audit.text)  # noqa: T201 - the output of a script
    sys.exit(audit.failed)


def _report() -> str | None:
    files = [f"--requirement=requirements/{name}" for name in FILES]
    options = ["--disable-pip", "--require-hashes", "--format=json", "--progress-spinner=off"]
    command = [sys.executable, "-m", "pip_audit", "--timeout=15", *options, *files]
    try:
        ended = subprocess.run(  # noqa: S603 - fixed arguments
            command,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return None
    if not ended.stdout and "ConnectionError" not in ended.stderr:
        sys.stderr.write(ended.stderr[-2000:])
    return ended.stdout


if __name__ == "__main__":
    main()
