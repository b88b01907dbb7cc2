"""Fetches the libraries of the console with npm, and compares them with the manifest."""

import json
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
FOLDER: Final = ROOT / "rs_order" / "console" / "assets"
MANIFEST: Final = FOLDER / "manifest.json"


@dataclass(frozen=True, slots=True)
class Library:
    """A file of a package that is shipped."""

    file: str
    """Its name here."""
    package: str
    version: str
    licence: str
    source: str
    """Its path in the package."""
    sha256: str


def libraries() -> list[Library]:
    """Return the entries of the manifest."""
    return [Library(**one) for one in json.loads(MANIFEST.read_text(encoding="utf-8"))]


def digest(content: bytes) -> str:
    return sha256(content).hexdigest()


def packed(library: Library, folder: Path) -> bytes:
    """Return the content of a library's file, from the package as npm has it."""
    name = f"{library.package}@{library.version}"
    command = ["npm", "pack", "--silent", "--pack-destination", str(folder), name]
    written = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    with tarfile.open(folder / written.stdout.strip()) as archive:
        member = archive.extractfile(f"package/{library.source}")
        if member is None:
            sys.exit(f"{name} has no file {library.source}")
        return member.read()


def fetch(*, renew: bool) -> None:
    """Write the files. Without ``renew``, each must be the one in the manifest."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for library in libraries():
            content = packed(library, Path(folder))
            if digest(content) != library.sha256 and not renew:
                sys.exit(f"{library.file} differs from the manifest; --renew accepts it")
            (FOLDER / library.file).write_bytes(content)
            found.append(replace(library, sha256=digest(content)))
    text = json.dumps([asdict(one) for one in found], indent=2)
    MANIFEST.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    fetch(renew="--renew" in sys.argv[1:])
