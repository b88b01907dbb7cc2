"""The dependency audit fails only if a vulnerability is known, and says so when it could check nothing."""

import json

import pytest

from scripts.dependency_audit import audit_of

FLAW = {"id": "PYSEC-1", "fix_versions": ["2.0"]}
CLEAN = {"name": "good", "version": "1.0", "vulns": []}
FLAWED = {"name": "bad", "version": "1.0", "vulns": [FLAW]}
UNKNOWN = {"name": "odd", "skip_reason": "Dependency not found"}


@pytest.mark.parametrize(
    ("packages", "text", "failed"),
    [
        (None, "skipped: the service that knows vulnerabilities isn't reachable", False),
        ([UNKNOWN], "skipped: the service that knows vulnerabilities knows none", False),
        ([CLEAN], "1 packages checked, 0 known vulnerabilities", False),
        ([CLEAN, UNKNOWN], "1 packages checked, 0 known vulnerabilities; not checked: odd", False),
        ([CLEAN, FLAWED], "bad 1.0: PYSEC-1, fixed in 2.0", True),
    ],
)
def test_what_an_audit_means(
    packages: list[dict[str, object]] | None, text: str, failed: bool
) -> None:
    audit = audit_of(None if packages is None else json.dumps({"dependencies": packages}))

    assert text in audit.text
    assert audit.failed == failed
