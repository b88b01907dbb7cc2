"""Orders with eodag as its users do, and prints as JSON what they see. It runs in the environment of eodag.

usage: eodag_program.py PROVIDER FOLDER {search|order|download|download_all} [CONDITIONS]
``CONDITIONS`` are those of a search, as JSON. Without them, the products of the last search are taken, which
are in ``FOLDER``. The configuration is that of the user.
"""

import json
import sys
import time
import traceback
from typing import Any

from eodag import EODataAccessGateway
from eodag.utils.exceptions import EodagError

WAIT = 0.02
"""Minutes between two requests for the status; for users it is 12 s."""
TIMEOUT = 0.5


def properties_of(product: Any) -> dict[str, Any]:
    names = ("id", "title", "order:status", "eodag:order_id", "eodag:order_status")
    return {name: product.properties.get(name) for name in names}


def run(
    provider: str, folder: str, action: str, conditions: dict[str, Any] | None
) -> dict[str, Any]:
    dag = EODataAccessGateway()
    dag.set_preferred_provider(provider)
    kept = f"{folder}/found.geojson"
    if conditions is None:
        found = dag.deserialize_and_register(kept)
    else:
        found = dag.search(raise_errors=True, validate=False, **conditions)
        dag.serialize(found, kept)
    paths: list[str] = []
    seconds: list[float] = []
    if action == "order":
        for product in found:
            auth = product.downloader_auth.authenticate()
            began = time.monotonic()
            # Only the order: the public method polls until the files are there.
            product.downloader._order(product, auth)  # noqa: SLF001
            seconds.append(time.monotonic() - began)
    elif action == "download":
        paths = [
            product.download(output_dir=folder, wait=WAIT, timeout=TIMEOUT) for product in found
        ]
    elif action == "download_all":
        paths = list(dag.download_all(found, output_dir=folder, wait=WAIT, timeout=TIMEOUT))
    return {
        "products": [properties_of(product) for product in found],
        "matched": found.number_matched,
        "paths": paths,
        "seconds": seconds,
    }


def main() -> None:
    provider, folder, action, *conditions = sys.argv[1:]
    try:
        seen = run(provider, folder, action, json.loads(conditions[0]) if conditions else None)
    except EodagError as error:
        traceback.print_exc()
        seen = {"error": type(error).__name__, "message": str(error)}
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main()
