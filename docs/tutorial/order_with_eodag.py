"""Search for a product, order it, wait for its tape, and download it.

usage: order_with_eodag.py PROVIDER COLLECTION ID FOLDER
"""

import sys

from eodag import EODataAccessGateway

MINUTES_BETWEEN_POLLS = 0.2
MINUTES_TO_WAIT = 24 * 60


def main() -> None:
    provider, collection, product_id, folder = sys.argv[1:]
    dag = EODataAccessGateway()
    dag.set_preferred_provider(provider)
    (product,) = dag.search(collection=collection, id=product_id, raise_errors=True)
    print("FOUND", product.properties["title"])
    path = product.download(output_dir=folder, wait=MINUTES_BETWEEN_POLLS, timeout=MINUTES_TO_WAIT)
    print("ORDER", product.properties["eodag:order_id"])
    print("DOWNLOADED", path)


if __name__ == "__main__":
    main()
