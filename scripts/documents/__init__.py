"""Documents that are made from the code, so that they can't disagree with it."""

from collections.abc import Callable, Mapping
from pathlib import Path

from scripts.documents.configuration import configuration
from scripts.documents.promises import promises
from scripts.documents.states import states
from scripts.documents.weaknesses import weaknesses

ROOT = Path(__file__).parents[2]
DOCUMENTS: Mapping[str, Callable[[], str]] = {
    "docs/configuration.md": configuration,
    "docs/promises.md": promises,
    "docs/states.md": states,
    "docs/weaknesses.md": weaknesses,
}
"""What makes each document, by its path in the project."""


def out_of_date() -> list[str]:
    """Paths of the documents that differ from what the code says now."""
    return [path for path, make in DOCUMENTS.items() if _written(path) != make()]


def write_all() -> None:
    for path, make in DOCUMENTS.items():
        (ROOT / path).write_text(make(), encoding="utf-8")


def _written(path: str) -> str | None:
    file = ROOT / path
    return file.read_text(encoding="utf-8") if file.is_file() else None
