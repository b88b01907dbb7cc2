"""The environment of the clients of STAC, which ``scripts/test`` makes from ``requirements/eodag.txt``."""

import hashlib
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def python_of_clients() -> Path:
    """Return the Python that has the clients: that of ``STAC_CLIENTS``, or the one in the checkout.

    Without one, the test is skipped.
    """
    folder = os.environ.get("STAC_CLIENTS", str(ROOT / ".venv-eodag"))
    python = Path(folder) / "bin/python"
    if not python.exists():
        pytest.skip("eodag isn't installed: run scripts/test where packages can be installed")
    return python


def files_below(path: str) -> dict[str, str]:
    """Return the MD5 of each file below a folder, by name."""
    return {
        file.name: hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
        for file in Path(path).rglob("*")
        if file.is_file()
    }
