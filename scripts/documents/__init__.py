"""Generates documents from the code, so that they can't contradict it."""

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
"""The function that generates each document, by its path in the project."""


def out_of_date(root: Path = ROOT) -> list[str]:
    """Return the paths of the documents below ``root`` that the present code would write differently."""
    return [path for path, make in DOCUMENTS.items() if _written(root / path) != make()]


def write_all() -> None:
    for path, make in DOCUMENTS.items():
        (ROOT / path).write_text(make(), encoding="utf-8")


def _written(file: Path) -> str | None:
    return file.read_text(encoding="utf-8") if file.is_file() else None
