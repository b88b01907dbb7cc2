"""Writes parts of Markdown documents."""

from collections.abc import Iterable, Sequence


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table. Vertical bars in cells are escaped."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def generated_from(source: str) -> str:
    """Return the comment that asks people not to edit a document."""
    return f"<!-- scripts/generate-docs writes this file from {source}. Don't edit it here. -->"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
