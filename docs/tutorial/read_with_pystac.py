"""Print one's orders, their products and files, and check a file that was downloaded.

usage: read_with_pystac.py ADDRESS_OF_RS_ORDER TOKEN
"""

import hashlib
import sys
import urllib.request

import pystac_client

MD5, SHA256 = "d50110", "1220"
"""The beginnings of multihashes: they name the algorithm."""


def is_whole(content: bytes, multihash: str) -> bool:
    digest = hashlib.sha256 if multihash.startswith(SHA256) else hashlib.md5
    return multihash.removeprefix(SHA256).removeprefix(MD5) == digest(content).hexdigest()


def main() -> None:
    address, token = sys.argv[1:]
    headers = {"Authorization": f"Bearer {token}"}
    client = pystac_client.Client.open(f"{address}/stac", headers=headers)
    for order in client.get_collections():
        print(order.id, order.extra_fields["order:status"], order.description)
        print("  ", order.extra_fields["rsorder:message"])
        for item in order.get_items():
            print("  ", item.id)
            for name, asset in item.assets.items():
                request = urllib.request.Request(asset.href, headers=headers)  # noqa: S310
                content = urllib.request.urlopen(request).read()  # noqa: S310
                whole = is_whole(content, asset.extra_fields["file:checksum"])
                print("     ", name, len(content), "whole" if whole else "BROKEN")


if __name__ == "__main__":
    main()
