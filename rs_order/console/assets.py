"""The scripts, styles and icons of the pages. They are read and compressed once, at the start."""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Final

from fastapi import APIRouter, Request, Response

from rs_order.rest.errors import HttpError

_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_FOREVER: Final = "public, max-age=31536000, immutable"
"""A file that changes has another address."""


@dataclass(frozen=True, slots=True)
class Asset:
    media_type: str
    content: bytes
    compressed: bytes
    version: str
    """The beginning of its SHA-256, a part of its address."""


def read_assets() -> Mapping[str, Asset]:
    """Return the files of the package by name."""
    folder = files(__package__).joinpath("assets")
    return {
        one.name: _asset(one.read_bytes(), _TYPES[suffix])
        for one in folder.iterdir()
        if (suffix := one.name.rpartition(".")[2]) in _TYPES
    }


def _asset(content: bytes, media_type: str) -> Asset:
    version = sha256(content).hexdigest()[:12]
    return Asset(media_type, content, gzip.compress(content, 9, mtime=0), version)


def serve_assets(router: APIRouter, assets: Mapping[str, Asset]) -> None:
    """Serve the files to anybody: they hold nothing of a project."""

    @router.get("/console/assets/{version}/{name}", include_in_schema=False)
    async def get_asset(request: Request, version: str, name: str) -> Response:
        asset = assets.get(name)
        if asset is None or asset.version != version:
            raise HttpError(404, f"There is no file {name} in this version; load the page again")
        headers = {"Cache-Control": _FOREVER, "Vary": "Accept-Encoding"}
        content = asset.content
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            content, headers["Content-Encoding"] = asset.compressed, "gzip"
        return Response(content, media_type=asset.media_type, headers=headers)
