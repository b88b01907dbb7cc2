"""An order contains exactly the selections of its basket (rest.md 6, 7.2)."""

from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import until_rows
from tests.api.baskets import BASKET, a_client, add, content_of

TWO = "productId:(EVE_01 OR GOES15_20131028)"


async def test_each_dataset_is_ordered_with_its_own_selection(here: Platform) -> None:
    """A search of two datasets becomes two tasks, each with its own filter. The basket is consumed."""
    async with a_client(here) as client:
        await add(client, TWO)
        basket = await add(client, "productId:GOES15_20120601")
        goes, eve = basket["datasetSelections"]
        assert goes["objectsCount"] == 2
        path = f"{BASKET}/dataset/{goes['id']}/updateFileFilters"
        content_of(await client.put(path, json={"fileNamePattern": ".*\\.gz"}))
        path = f"{BASKET}/dataset/{eve['id']}/updateFileFilters"
        content_of(await client.put(path, json={}))
        order = (await client.post("/user/orders", json={})).json()["content"]["id"]

        assert (await client.get(BASKET)).status_code == 204

    await until_rows(here, "select from orders where id = $1 and status = 'DONE'", order)
    files = await here.rows(
        "select dataset_label, name from data_file join dataset_task on dataset_task.id = "
        "dataset_task_id where data_file.order_id = $1 order by name",
        order,
    )

    assert [tuple(file.values()) for file in files] == [
        ("SDO EVE irradiance", "eve_01.txt"),
        ("GOES X-ray sensor", "go1520120601.fits.gz"),
    ]
