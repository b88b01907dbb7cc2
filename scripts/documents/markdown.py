"""Pieces of Markdown."""

from collections.abc import Iterable, Sequence


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a vertical bar in a cell is escaped."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def generated_from(source: str) -> str:
    """The comment that keeps people from editing a document."""
    return f"<!-- Made from {source} by scripts/generate-docs: change it there. -->"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
