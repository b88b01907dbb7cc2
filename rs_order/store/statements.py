"""Named SQL statements. In the files of ``sql/``, each statement follows a line ``-- name: <name>``."""

from functools import cache
from importlib.resources import files

_MARK = "-- name: "


@cache
def statements(file: str) -> dict[str, str]:
    """Return the statements of ``sql/<file>.sql`` by name, each with its comment."""
    text = files(__package__).joinpath("sql", f"{file}.sql").read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for block in text.split(_MARK)[1:]:
        name, _, statement = block.partition("\n")
        found[name.strip()] = statement.strip()
    return found
