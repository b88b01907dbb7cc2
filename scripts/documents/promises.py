"""Generates ``docs/promises.md``: each promise, its limits, and the tests that name it."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from scripts.documents.markdown import generated_from, table
from scripts.documents.promise_texts import FAULT_RUN, PROMISES

ROOT = Path(__file__).parents[2]
_NAMED = re.compile(r"(?:\b|_)promises?[ _](\d(?:(?:, | and )\d)*)", re.IGNORECASE)
_INTRODUCTION = """\
# The promises

{mark}

What the service promises whatever fails, within which limits, and the tests of it.
[architecture.md](architecture.md#the-eight-promises) explains how each promise is kept. The lists have
every test whose name begins with the promise (`test_nothing_lost_…`), or whose docstring or module names
it (“Promise 3: …”)."""


def promises() -> str:
    tests: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for number, name in _tests_of(path):
            tests[number].append((path.relative_to(ROOT).as_posix(), name))
    sections = [
        f"## {number}. {promise.title}\n\n{promise.text}\n\n{_listed(tests[number])}"
        for number, promise in PROMISES.items()
    ]
    introduction = _INTRODUCTION.format(
        mark=generated_from("`tests/` and `scripts/documents/promise_texts.py`")
    )
    return "\n\n".join([introduction, *sections, FAULT_RUN]) + "\n"


def _listed(tests: list[tuple[str, str]]) -> str:
    if not tests:
        return "No test names it yet."
    return table(
        ["Test", "In"], ([f"`{name}`", f"[{path}](../{path})"] for path, name in sorted(tests))
    )


def _tests_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield promise and name of each test in a file that names a promise."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    of_all = _named_in(ast.get_docstring(module))
    for node in module.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if node.name.startswith("test_"):
            for number in of_all | _named_in(ast.get_docstring(node)) | _named_by(node.name):
                yield number, node.name


def _named_in(docstring: str | None) -> set[int]:
    found = _NAMED.findall(docstring or "")
    return {int(digit) for numbers in found for digit in re.findall(r"\d", numbers)} & set(PROMISES)


def _named_by(test: str) -> set[int]:
    return {
        number
        for number, promise in PROMISES.items()
        if test.startswith(f"test_{re.sub('[^a-z]+', '_', promise.title.lower())}")
    } | _named_in(test)
