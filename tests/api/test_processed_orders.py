"""A basket with a process becomes an order of the process's outputs (domain.md 5, 8)."""

from typing import Any
from uuid import UUID

from rs_order.sandbox.process_catalog import RightsChange, process_id
from tests.acceptance.platform import TENANT, Platform
from tests.acceptance.shared_platform import new_user, until_rows
from tests.api.baskets import add, basket_of, dataset_path
from tests.api.downloading import files_of, until_state
from tests.support.polling import eventually

REPROJECT = str(process_id("reproject"))


async def processed_order(here: Platform, email: str) -> int:
    """Place an order of five products over HTTP, wait until it is DONE and return its number."""
    async with here.client(email) as client:
        basket = await add(client)
        body = {"processBusinessId": REPROJECT, "parameters": {"epsg": "4326"}}
        attached = await client.put(dataset_path(basket, "/updateProcessing"), json=body)
        assert attached.status_code == 200, attached.text
        answer = await client.post("/user/orders", json={})
        assert answer.status_code == 201, answer.text
    order_id = int(answer.json()["content"]["id"])
    await until_rows(here, "select from orders where id = $1 and status = 'DONE'", order_id)
    return order_id


async def test_a_basket_with_a_process_becomes_an_order_of_its_outputs(here: Platform) -> None:
    """Its dataset has the totals of the chapter, and rs-processing learns of a single download."""
    jane = new_user(here)
    order_id = await processed_order(here, jane)
    files = await files_of(here, order_id)
    async with here.client(jane) as client:
        order = (await client.get(f"/user/orders/{order_id}")).json()["content"]
        single = await client.get(f"/orders/files/{files[0]['id']}")
    await until_state(here, files[0]["id"], "DOWNLOADED")
    await here.sandbox.executions.wait_for_downloaded(1)

    assert len(files) == 5
    assert {file["data_type"] for file in files} == {"OTHER"}
    (task,) = order["datasetTasks"]
    # Totals of the selection: five files in, 2.5 times their bytes out (domain.md 5.2).
    assert (task["filesCount"], task["filesSize"]) == (5, int(2.5 * 5 * 4159))
    assert single.status_code == 200
    assert len(single.content) == files[0]["size"]
    assert here.sandbox.executions.downloaded == [files[0]["url"]]


async def test_w39_a_deleted_process_is_detached_from_the_interactive_basket(
    here: Platform,
) -> None:
    """The selection stays and can get another process or a filter."""
    jane = new_user(here)
    async with here.client(jane) as client:
        basket = await add(client)
        body = {"processBusinessId": REPROJECT, "parameters": {}}
        await client.put(dataset_path(basket, "/updateProcessing"), json=body)
        here.sandbox.publish_rights(UUID(REPROJECT), RightsChange(tenant=TENANT, type="DELETE"))

        async def detached() -> Any:
            (dataset,) = (await basket_of(client))["datasetSelections"]
            return "processDatasetDescription" not in dataset

        await eventually(detached, "the process detached")
        filtered = await client.put(
            dataset_path(basket, "/updateFileFilters"), json={"fileTypes": ["RAWDATA"]}
        )

    assert filtered.status_code == 200, filtered.text
