"""Prints figures of the code's shape; ``scripts/figures`` runs it.

The product is ``rs_order`` without ``sandbox`` and ``demo``. Only repeated file names count in all of
``rs_order``, because who searches for a file by its name meets those two as well.

``python -m tests.benchmarks.reading_path`` counts the files on the way of a message: it needs servers.
"""

import ast
import statistics
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = "rs_order"
OUTSIDE_THE_PRODUCT = ("sandbox", "demo")
MAY_REPEAT = ("__init__", "errors", "routes", "consumer")
"""Names of modules that mean the same in each package."""
LONGEST = 10
"""Functions to list."""
AIM = 45
"""Lines of a function."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function or method, with its lines from ``def`` to its end."""

    lines: int
    name: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.lines:4} lines  {self.file}:{self.line} {self.name}"


@dataclass(frozen=True, slots=True)
class Figures:
    """The shape of the code in a checkout."""

    modules: Mapping[str, int]
    """Lines of each product module, by its path in the checkout."""
    repeated: Mapping[str, Sequence[str]]
    """File names that more than one module has, with their folders."""
    protocols: Sequence[str]
    functions: Sequence[Function]
    """Of the product, the longest first."""

    @property
    def table(self) -> Mapping[str, str]:
        """Values by the names of the figures."""
        longest = self.functions[0].lines if self.functions else 0
        return {
            "product modules": f"{len(self.modules):,}",
            "median of their lines": f"{statistics.median(self.modules.values() or [0]):g}",
            "lines of product code": f"{sum(self.modules.values()):,}",
            "file names that stand more than once": f"{len(self.repeated):,}",
            "files with such a name": f"{sum(map(len, self.repeated.values())):,}",
            "Protocols": f"{len(self.protocols):,}",
            "lines of the longest function": f"{longest:,}",
            f"functions above {AIM} lines": f"{sum(one.lines > AIM for one in self.functions):,}",
        }

    @property
    def details(self) -> str:
        """The functions, file names and Protocols behind the table."""
        functions = [f"  {one}" for one in self.functions[:LONGEST]]
        names = [f"  {name}: {', '.join(where)}" for name, where in self.repeated.items()]
        return "\n".join(
            [
                "Longest functions:",
                *functions,
                f"File names that stand more than once (besides {', '.join(MAY_REPEAT)}):",
                *names,
                "Protocols:",
                *(f"  {protocol}" for protocol in self.protocols),
            ]
        )


def figures(root: Path = ROOT) -> Figures:
    """Return the figures of a checkout."""
    product = {str(path.relative_to(root)): path.read_text() for path in _product(root)}
    trees = {file: ast.parse(text) for file, text in product.items()}
    return Figures(
        modules={file: len(text.splitlines()) for file, text in product.items()},
        repeated=_repeated(root),
        protocols=[f"{file} {name}" for file, tree in trees.items() for name in _protocols(tree)],
        functions=sorted(
            (function for file, tree in trees.items() for function in _functions(file, tree)),
            key=lambda one: (-one.lines, one.file, one.line),
        ),
    )


def _modules(root: Path) -> list[Path]:
    return sorted((root / PACKAGE).rglob("*.py"))


def _product(root: Path) -> Iterator[Path]:
    for path in _modules(root):
        if path.relative_to(root / PACKAGE).parts[0] not in OUTSIDE_THE_PRODUCT:
            yield path


def _repeated(root: Path) -> dict[str, list[str]]:
    paths = [path for path in _modules(root) if path.stem not in MAY_REPEAT]
    count = Counter(path.name for path in paths)
    return {
        name: [str(path.parent.relative_to(root)) for path in paths if path.name == name]
        for name in sorted(count)
        if count[name] > 1
    }


def _protocols(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and any(map(_is_protocol, node.bases)):
            yield node.name


def _is_protocol(base: ast.expr) -> bool:
    """True for ``Protocol``, ``Protocol[T]`` and ``typing.Protocol``."""
    match base:
        case ast.Subscript(value=value):
            return _is_protocol(value)
        case ast.Name(id="Protocol") | ast.Attribute(attr="Protocol"):
            return True
    return False


def _functions(file: str, tree: ast.Module) -> Iterator[Function]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            end = node.end_lineno or node.lineno
            yield Function(end - node.lineno + 1, node.name, file, node.lineno)


def table(columns: Mapping[str, Figures]) -> str:
    """Return the figures of checkouts as a Markdown table, with a column for each."""
    tables = [found.table for found in columns.values()]
    rows = [[name, *(values[name] for values in tables)] for name in tables[0]]
    head = ["Figure", *columns]
    return "\n".join(
        f"| {' | '.join(cells)} |" for cells in [head, ["---", *["---:"] * len(columns)], *rows]
    )


def main(arguments: Sequence[str]) -> None:
    """Print a table with one column per checkout, and the details of the last one."""
    columns = {name: figures(Path(name).resolve()) for name in arguments or [str(ROOT)]}
    last = list(columns.values())[-1]
    if not arguments:
        columns = {"Value": last}
    sys.stdout.write(f"{table(columns)}\n\n{last.details}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
