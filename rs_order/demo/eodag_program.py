"""Searches, orders, polls and downloads a product with eodag. It runs in the environment of eodag.

usage: eodag_program.py PROVIDER FOLDER COLLECTION ID
It prints the path of the product. The configuration is that of the user.
"""

import logging
import sys

from eodag import EODataAccessGateway

WAIT = 0.02
"""Minutes between two requests for the status of the order; by default eodag waits 12 s."""
TIMEOUT = 5


def main() -> None:
    provider, folder, collection, product_id = sys.argv[1:]
    logging.disable(logging.WARNING)
    dag = EODataAccessGateway()
    dag.set_preferred_provider(provider)
    (product,) = dag.search(collection=collection, id=product_id, raise_errors=True)
    print(product.download(output_dir=folder, wait=WAIT, timeout=TIMEOUT))


if __name__ == "__main__":
    main()
