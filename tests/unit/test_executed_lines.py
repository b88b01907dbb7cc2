"""The measurement of coverage counts what coverage.py counts."""

from pathlib import Path

from coverage import Coverage

from tests.support.executed_lines import NOTES, compile_with_notes, lines_of

SOURCE = '''"""A docstring."""

from __future__ import annotations

import functools
from dataclasses import dataclass


@dataclass(
    frozen=True,
)
class Point:
    """A docstring."""

    x: int = 0
    """A docstring of a member."""


@functools.cache
@functools.wraps(
    len,
)
def ran(
    value: object,
) -> str:
    """A docstring."""
    match value:
        case 1:
            return "one"
        case Point(x=2):
            return "two"
        case _:
            pass
    try:
        raise ValueError(
            value
        )
    except ValueError:
        found = [
            one
            for one in (1, 2)
        ]
    else:
        return "never"
    finally:
        done = True
    if done and not found:
        return "never"
    elif value == 3:
        return "never"
    else:
        text = "other"
    while True:
        break
    for _ in ():
        continue
    else:
        return text


def never() -> None:
    global unset
    unset = 1


for value in (1, Point(2), 4):
    ran(value)
'''


def test_the_lines_that_ran_are_those_of_coverage_py(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(SOURCE)
    notes = bytearray(SOURCE.count("\n") + 1)
    measured = Coverage(data_file=None, config_file=False, include=[str(path)])

    exec(compile_with_notes(SOURCE, str(path)), {NOTES: notes, "__name__": __name__})  # noqa: S102
    with measured.collect():
        exec(compile(SOURCE, path, "exec"), {"__name__": __name__})  # noqa: S102

    _, statements, _, missing, _ = measured.analysis2(str(path))
    assert missing
    assert set(lines_of(notes)) == set(statements) - set(missing)
