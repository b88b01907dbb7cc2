"""Records which lines of the product run in a worker process of the tests; coverage.py reports them.

The tracer of coverage.py slows down all Python of a process to a half. Here each statement of the product
gets another one before it, when its module is imported, that notes its line: that costs next to nothing.
Processes that tests start aren't measured: what they run is measured in other tests, and the minimum in
pyproject.toml holds without them.
"""

import ast
import atexit
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final

from coverage import CoverageData

PACKAGE: Final = "rs_order"
VARIABLE: Final = "RS_ORDER_TEST_COVERAGE"
"""The environment variable by which ``scripts/test`` asks for the measurement."""
_WORKER: Final = "PYTEST_XDIST_WORKER"
NOTES: Final = "__executed_lines__"
"""The name, in each module of the product, of an array with 1 at the numbers of the lines that ran."""

_notes: dict[str, bytearray] = {}
"""The arrays by the path of the module's file."""


def measure_if_asked() -> None:
    """Measure in a worker, if asked, what is imported from now on; ask no process that it starts."""
    if _WORKER in os.environ and os.environ.pop(VARIABLE, ""):
        sys.meta_path.insert(0, _Finder())
        atexit.register(_save)


def _save() -> None:
    """Leave what was measured to ``coverage combine``."""
    files = (Path(__file__).parents[2] / PACKAGE).rglob("*.py")
    data = CoverageData(suffix=True)
    data.add_lines({path: lines_of(notes) for path, notes in _notes.items()})
    data.touch_files([str(path) for path in files])  # those that nothing imported count as well
    data.write()


def lines_of(notes: bytearray) -> list[int]:
    """Return the numbers of the lines that ran."""
    return [line for line, ran in enumerate(notes) if ran]


class _Finder(MetaPathFinder):
    """Finds the modules of the product, for the loader that adds the notes."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] != PACKAGE:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    """Compiles a module with notes, apart from the compiled files that other processes use."""

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002 - a loader has one module
        return compile_with_notes(self.get_data(self.path), self.path)

    def exec_module(self, module: ModuleType) -> None:
        lines = self.get_data(self.path).count(b"\n") + 1
        module.__dict__[NOTES] = _notes.setdefault(self.path, bytearray(lines + 1))
        super().exec_module(module)


def compile_with_notes(source: bytes | str, path: str) -> CodeType:
    """Compile a module whose statements note their lines."""
    module = ast.parse(source, path)
    module.body = list(_with_notes(module.body))
    compiled: CodeType = compile(module, path, "exec", dont_inherit=True)
    return compiled


def _with_notes(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield each statement after the notes of its lines.

    An ``except`` or a ``case`` has run if it matched; for coverage.py it is enough to be compared.
    """
    for number, statement in enumerate(body):
        notes = map(_note, _first_lines(statement))
        for inner in ("body", "orelse", "finalbody"):
            if statements := getattr(statement, inner, None):
                setattr(statement, inner, list(_with_notes(statements)))
        for handler in getattr(statement, "handlers", ()):
            handler.body = [_note(handler.lineno), *_with_notes(handler.body)]
        for case in getattr(statement, "cases", ()):
            case.body = [_note(case.pattern.lineno), *_with_notes(case.body)]
        if number == 0 and _is_text(statement):
            yield statement
        elif _is_of_the_future(statement):
            yield from (statement, *notes)
        else:
            yield from (*notes, statement)


def _is_text(statement: ast.stmt) -> bool:
    """True for what is a docstring if it is the first of its body."""
    match statement:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
        case _:
            return False


def _is_of_the_future(statement: ast.stmt) -> bool:
    """True for an import that must come before all other statements."""
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"


def _first_lines(statement: ast.stmt) -> list[int]:
    """Return the line on which it begins, and those of its decorators: coverage.py counts these."""
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return [*(decorator.lineno for decorator in decorators), statement.lineno]


def _note(line: int) -> ast.stmt:
    (note,) = ast.parse(f"{NOTES}[{line}] = 1").body
    return ast.increment_lineno(note, line - 1)
