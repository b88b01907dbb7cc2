"""The calls of rs-delivery, from the order to its files (rest.md 13, remote-services.md 9.1)."""

import hashlib
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import new_user

PAGE = 100


async def _available(client: httpx.AsyncClient, order_id: int) -> list[dict[str, Any]]:
    """Return all available files; rs-delivery reads on while a page has a link ``next``."""
    files: list[dict[str, Any]] = []
    number = 0
    while True:
        answer = await client.get(
            f"/orders/{order_id}/files/available",
            params={"page": number, "size": PAGE, "sort": "id,ASC"},
        )
        assert answer.is_success
        page = answer.json()
        links = [*page["links"], *(link for item in page["content"] for link in item["links"])]
        assert all(set(link) == {"rel", "href"} for link in links), (
            "rs-delivery cannot read a link with other members"
        )
        files += [item["content"] for item in page["content"]]
        if "next" not in {link["rel"] for link in page["links"]}:
            return files
        number += 1


async def test_walk_of_rs_delivery(here: Platform) -> None:
    """It orders over AMQP and gets one sub-order, pages of files, and files with the catalog's MD5."""
    jane = new_user(here)
    correlation_id = await here.peer.order(
        "productId:(EVE_01 OR EVE_02 OR EVE_03)",
        user=jane,
        correlation_id=f"delivery-{uuid4()}",
        filters={"dataTypes": ["RAWDATA"], "filenameRegExp": ".*\\.txt"},
        sizeLimitInBytes=5368709120,
    )
    final = await here.peer.until_final(correlation_id)
    assert here.peer.statuses(correlation_id) == ["GRANTED", "SUBORDER_DONE", "DONE"]
    assert (final.body["totalSubOrders"], final.body.get("errors")) == (1, None)
    order_id = final.body["orderId"]

    async with here.client(jane) as client:
        files = await _available(client, order_id)
        assert {file["productId"] for file in files} == {"EVE_01", "EVE_02", "EVE_03"}
        for file in files:
            assert {"id", "productId", "version", "filename", "checksum"} <= set(file)
            content = await client.get(
                f"/orders/files/{file['id']}", headers={"Accept": "application/octet-stream"}
            )
            assert content.status_code == httpx.codes.OK
            md5 = hashlib.md5(content.content, usedforsecurity=False).hexdigest()
            assert md5 == file["checksum"]
        assert await _available(client, order_id) == []


@pytest.mark.parametrize(("whose", "status"), [("a stranger's", 403), ("nobody's", 404)])
async def test_rejections_that_rs_delivery_expects(here: Platform, whose: str, status: int) -> None:
    """403 for an order that isn't the caller's, 404 for an unknown one (remote-services.md 9.1)."""
    done = await here.peer.until_final(
        await here.peer.order("productId:EVE_01", user=new_user(here))
    )
    order_id = done.body["orderId"] if whose == "a stranger's" else 10**12
    async with here.client(new_user(here)) as client:
        answer = await client.get(f"/orders/{order_id}/files/available")

    assert (answer.status_code, answer.content) == (status, b"")
