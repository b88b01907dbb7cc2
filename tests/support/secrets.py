"""Fails a test whose output shows a secret: a signed token, a password in a URL, or a key of the tests."""

import re
from collections.abc import Generator

import pytest

from rs_order.sandbox.service_protocol import DEVELOPMENT_KEY

COMMAND_KEY = "k" * 64
"""The signing key of the commands that tests run."""
_SECRETS = re.compile(
    "|".join(
        (
            r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}",  # a signed token
            r"\b[a-z][a-z+]*://[^\s:/@'\"]*:(?!\*+@)[^\s/@'\"]+@",  # a password in a URL, not masked
            re.escape(DEVELOPMENT_KEY),
            COMMAND_KEY,
        )
    )
)


def shown_secrets(output: str) -> list[str]:
    """Return the secrets in an output."""
    return _SECRETS.findall(output)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Look through everything that the test and its fixtures have written once it has ended."""
    report = yield
    if report.when == "teardown" and report.passed:
        found = shown_secrets("".join(text for _, text in report.sections))
        if found:
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} wrote secrets: {found[:3]}"
    return report
