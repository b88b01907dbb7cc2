"""Archive folders of a few bytes."""

import hashlib
import json
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5


def small_file(folder: Path, name: str, **more: Any) -> dict[str, Any]:
    """Write a file and return its entry for the manifest, by default with the location nearline."""
    content = f"content of {name}\n".encode()
    (folder / name).write_bytes(content)
    return {
        "type": "RAWDATA",
        "filename": name,
        "path": name,
        "size": len(content),
        "mimeType": "text/plain",
        "location": "nearline",
        "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
        **more,
    }


def product(name: str, *files: dict[str, Any]) -> dict[str, Any]:
    urn = f"URN:AIP:DATA:demo:{uuid5(NAMESPACE_URL, name)}:V1"
    return {"providerId": name, "urn": urn, "version": 1, "files": list(files)}


def dataset(
    name: str, *products: dict[str, Any], attached: tuple[dict[str, Any], ...] = ()
) -> dict[str, Any]:
    urn = f"URN:AIP:DATASET:demo:{uuid5(NAMESPACE_URL, name)}:V1"
    return {
        "id": name,
        "label": name,
        "urn": urn,
        "products": list(products),
        "files": list(attached),
    }


def write_archive(folder: Path, *datasets: dict[str, Any]) -> Path:
    (folder / "manifest.json").write_text(json.dumps({"datasets": datasets}), encoding="utf-8")
    return folder
