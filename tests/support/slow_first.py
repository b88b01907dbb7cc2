"""Runs the files that take long first.

A file's tests stay in one worker. If a worker took a long file last, the others would wait with nothing
to do: that cost a third of a whole run.
"""

from collections import defaultdict
from pathlib import Path

import pytest

from tests.support.quick import is_quick

TESTS = Path(__file__).parents[1]
SLOW_SECONDS = 60.0
"""A test with the marker ``slow``."""
SECONDS = {
    "demo": 25.0,
    "promises": 12.0,
    "stac_clients": 10.0,
    "sandbox": 3.0,
    "acceptance": 2.5,
    "console": 2.5,
    "amqp": 1.5,
    "cli": 1.0,
    "docs": 0.5,
}
"""What a test with servers takes in a package, about; those of other packages take half a second."""
FILES = {
    "acceptance/test_mails.py": 40.0,
    "acceptance/test_moving_in.py": 40.0,
    "acceptance/test_replay.py": 40.0,
    "amqp/test_connection.py": 60.0,
    "api/test_who_may_call.py": 45.0,
    "cli/test_serve.py": 40.0,
    "docs/test_tutorial.py": 60.0,
    "integration/test_webhooks.py": 60.0,
    "promises/test_2_webhooks.py": 60.0,
    "promises/test_5_long_recall.py": 110.0,
    "stateful/test_orders_of_users.py": 120.0,
}
"""Seconds of the files whose tests take far longer than the others of their package."""
OTHER_SECONDS = 0.5
QUICK_SECONDS = 0.05
"""A test without servers."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by file: the longest first, and small ones last, which fill the end."""
    seconds: defaultdict[Path, float] = defaultdict(float)
    for item in items:
        seconds[item.path] += _seconds(item)
    for name, known in FILES.items():
        seconds[TESTS / name] = known
    items.sort(key=lambda item: (-seconds[item.path], str(item.path)))


def _seconds(item: pytest.Item) -> float:
    if item.get_closest_marker("slow"):
        return SLOW_SECONDS
    if is_quick(item):
        return QUICK_SECONDS
    package, *_ = item.path.relative_to(TESTS).parts
    return SECONDS.get(package, OTHER_SECONDS)
