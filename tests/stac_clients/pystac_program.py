"""Reads an order with pystac-client and pystac, and prints as JSON what they see. It runs beside eodag.

usage: pystac_program.py LANDING_PAGE TOKEN COLLECTION
"""

import hashlib
import json
import sys
import urllib.request
import warnings
from typing import Any

import pystac
import pystac_client
from pystac.errors import STACValidationError
from pystac.extensions.file import FileExtension
from pystac.extensions.timestamps import TimestampsExtension
from pystac.validation.stac_validator import GetSchemaError

SOME = 3
"""Items that are checked as a whole, of those that were read."""
ALGORITHMS = {"d50110": hashlib.md5, "1220": hashlib.sha256}


def is_whole(content: bytes, multihash: str) -> bool:
    (algorithm,) = [one for prefix, one in ALGORITHMS.items() if multihash.startswith(prefix)]
    return multihash.endswith(algorithm(content).hexdigest())


def downloaded(asset: pystac.Asset, headers: dict[str, str]) -> dict[str, Any]:
    request = urllib.request.Request(asset.href, headers=headers)  # noqa: S310 - of the service
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - likewise
        content = answer.read()
    return {
        "size": len(content) == asset.extra_fields["file:size"],
        "checksum": is_whole(content, asset.extra_fields["file:checksum"]),
    }


def read_extensions(item: pystac.Item) -> dict[str, Any]:
    """Return what pystac reads from an item through the extensions that it knows."""
    files = [FileExtension.ext(asset) for asset in item.assets.values()]
    expires = TimestampsExtension.ext(item).expires
    return {
        "expires": expires is not None,
        "sizes": [file.size for file in files],
        "checksums": all(file.checksum for file in files),
    }


def validated(document: pystac.STACObject) -> dict[str, str]:
    """Validate a document with the schemas of STAC, and with those of its extensions if they can be read."""
    extensions, document.stac_extensions = document.stac_extensions, []
    results = {}
    for schema in ("core", *extensions):
        document.stac_extensions = [] if schema == "core" else [schema]
        try:
            document.validate()
            results[schema] = "valid"
        except GetSchemaError:
            results[schema] = "no schema"
        except STACValidationError as error:
            results[schema] = str(error)
    document.stac_extensions = extensions
    return results


def main() -> None:
    landing, token, name = sys.argv[1:]
    headers = {"Authorization": f"Bearer {token}"}
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        client = pystac_client.Client.open(landing, headers=headers)
        orders = [one.id for one in client.get_collections()]
        order = client.get_collection(name)
        items = list(order.get_items())
        searched = [one.id for one in client.search(collections=[name], limit=2).items()]
    seen = {
        "warnings": [str(one.message) for one in warned],
        "orders": orders,
        "status": order.extra_fields["order:status"],
        "assets": sorted(order.assets),
        "items": sorted(one.id for one in items),
        "searched": sorted(searched),
        "files": {
            key: downloaded(asset, headers)
            for item in items[:SOME]
            for key, asset in item.assets.items()
        },
        "extensions": [read_extensions(item) for item in items[:SOME]],
        "validated": {one.id: validated(one) for one in (order, *items[:SOME])},
    }
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main()
