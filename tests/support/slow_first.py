"""Runs the files with slow tests first.

A file's tests stay in one worker. If a worker took a slow file last, the others would wait with nothing
to do: that cost a third of a whole run.
"""

from collections import Counter
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by file: slow files, then those with many tests, then small ones, which fill the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    tests = Counter(item.path for item in items)

    def rank(path: Path) -> tuple[bool, int, str]:
        return (path not in slow, -tests[path], str(path))

    items.sort(key=lambda item: rank(item.path))
