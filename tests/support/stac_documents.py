"""The rules of STAC's extensions, which documents of orders must keep.

The schemas of the extensions can only be read on the internet, and no package has them. So these are their
rules in our words, as far as our documents use the extensions: order 1.1.0, file 2.1.0, authentication 1.1.0
and timestamps 1.1.0.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_SCHEMAS = "https://stac-extensions.github.io"
ORDER = f"{_SCHEMAS}/order/v1.1.0/schema.json"
FILE = f"{_SCHEMAS}/file/v2.1.0/schema.json"
AUTH = f"{_SCHEMAS}/authentication/v1.1.0/schema.json"
TIMESTAMPS = f"{_SCHEMAS}/timestamps/v1.1.0/schema.json"

_STATUSES = {"orderable", "ordered", "pending", "shipping", "succeeded", "failed", "canceled"}
_SCHEMES = {"http", "s3", "signedUrl", "oauth2", "apiKey", "openIdConnect"}
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_LOCAL_PATH = re.compile(r"""[^\r\n\t\\:'"/]+(/[^\r\n\t\\:'"/]+)*/?""")
_MULTIHASHES = {"d50110": 16, "1114": 20, "1220": 32, "1340": 64}
"""Bytes of the digest, by what a multihash in hexadecimal begins with."""

_OBJECTS = {"Collection", "Feature"}


def broken_rules(document: Any) -> list[str]:
    """Return the rules that a response breaks; a response without items or collections breaks none."""
    return [f"{one.get('id')}: {rule}" for one in _objects(document) for rule in _broken_by(one)]


def _objects(document: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(document, dict):
        if document.get("type") in _OBJECTS:
            yield document
        for name in ("features", "collections"):
            yield from document.get(name, ())


def _broken_by(document: Mapping[str, Any]) -> Iterator[str]:
    fields = document["properties"] if document["type"] == "Feature" else document
    assets = document["assets"]
    parts = [fields, *assets.values(), *document["links"]]
    uses = {
        ORDER: any("order:status" in part for part in parts),
        FILE: any(name.startswith("file:") for part in parts for name in part),
        AUTH: any(name.startswith("auth:") for part in parts for name in part),
        TIMESTAMPS: bool(fields.keys() & {"expires", "published", "unpublished"}),
    }
    declared = document["stac_extensions"]
    if len(declared) != len(set(declared)):
        yield "an extension is declared twice"
    for extension, used in uses.items():
        if used is not (extension in declared):
            yield f"{extension} is {'used' if used else 'declared'} only"
    for part in parts:
        yield from _broken_by_part(part, fields.get("auth:schemes", {}))
    for name in ("expires", "created", "updated", "order:date", "datetime"):
        if not _INSTANT.fullmatch(fields.get(name) or "2026-01-01T00:00:00Z"):
            yield f"{name} is no instant"


def _broken_by_part(part: Mapping[str, Any], schemes: Mapping[str, Any]) -> Iterator[str]:
    if part.get("order:status", "ordered") not in _STATUSES:
        yield "order:status is unknown"
    if not isinstance(part.get("order:id", ""), str):
        yield "order:id is no text"
    size = part.get("file:size", 0)
    if type(size) is not int or size < 0:
        yield "file:size is no number of bytes"
    if not _is_multihash(part.get("file:checksum", "1220" + "0" * 64)):
        yield "file:checksum is no multihash"
    if not _LOCAL_PATH.fullmatch(part.get("file:local_path", "a")):
        yield "file:local_path is no path"
    for name, scheme in part.get("auth:schemes", {}).items():
        if scheme["type"] not in _SCHEMES or (scheme["type"] == "http" and not scheme["scheme"]):
            yield f"auth:schemes: {name} is no scheme"
    if not set(part.get("auth:refs", ())) <= schemes.keys():
        yield "auth:refs names no scheme"


def _is_multihash(text: str) -> bool:
    return any(
        re.fullmatch(rf"{beginning}[0-9a-f]{{{2 * length}}}", text)
        for beginning, length in _MULTIHASHES.items()
    )
