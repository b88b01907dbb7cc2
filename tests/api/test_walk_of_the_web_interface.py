"""The calls of the official web interface, one after the other (rest.md 12)."""

import io
import zipfile
from typing import Any

from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import new_user
from tests.api.web_interface import WebInterface, rels

EVE_03 = "URN:AIP:DATA:project1:53aaf88e-96c6-53a3-ba09-9c8d1c33476c:V1"
FRONT = "/user/project1/redirect?module=order-history"

WANTED_RESOURCES = [
    "/order/basket@GET",
    "/order/basket/selection@POST",
    "/order/basket@DELETE",
    "/order/basket/dataset/{datasetSelectionId}@DELETE",
    "/order/basket/dataset/{datasetSelectionId}/{itemsSelectionDate}@DELETE",
    "/order/basket/dataset/{datasetSelectionId}/updateFileFilters@PUT",
    "/user/orders@POST",
    "/user/orders@GET",
    "/user/orders/pause/{orderId}@PUT",
    "/user/orders/resume/{orderId}@PUT",
    "/user/orders/{orderId}@DELETE",
    "/user/orders/remove/{orderId}@DELETE",
    "/orders/search@POST",
    "/settings@GET",
    "/maintenance@GET",
    "/maintenance/{tenant}/enable@PUT",
    "/maintenance/{tenant}/disable@PUT",
]
"""The resources that the interface requires before it shows a feature (rest.md 12.2)."""


def _selection(query: list[str] | None = None, **fields: Any) -> dict[str, Any]:
    """Return the body of "add to basket" as the interface writes it: unused members are null."""
    return {
        "engineType": "legacy",
        "datasetUrn": None,
        "entityIdsToInclude": None,
        "entityIdsToExclude": None,
        "searchParameters": {"q": query},
        **fields,
    }


async def test_resources_that_the_interface_looks_for_are_registered(here: Platform) -> None:
    """12.2: the service registers each resource whose name the interface compares."""
    async with WebInterface.opened(here, new_user(here)) as page:
        answer = await page.call("GET", "/security/resources")

    registered = {f"{one['fullPath']}@{one['method']}" for one in answer.payload}
    assert set(WANTED_RESOURCES) <= registered


async def test_walk_through_the_basket(here: Platform) -> None:
    """12.3: fill, filter and empty a basket, and check the members that the cart reads."""
    async with WebInterface.opened(here, new_user(here)) as page:
        assert (await page.call("GET", "/order/basket")).status == 204

        nothing = await page.call(
            "POST", "/order/basket/selection", _selection(["productId:NONE_OF_THOSE"])
        )
        assert nothing.status == 204
        added = await page.call(
            "POST", "/order/basket/selection", _selection(["productId:(EVE_01 OR EVE_02)"])
        )
        assert added.status == 200
        (dataset,) = added.payload["content"]["datasetSelections"]
        assert dataset["objectsCount"] == 2
        assert {
            *("id", "datasetIpid", "datasetLabel", "objectsCount", "filesCount", "filesSize"),
            *("quota", "itemsSelections"),
        } <= set(dataset)
        (dated,) = dataset["itemsSelections"]
        assert dated["date"] == dated["selectionRequest"]["selectionDate"]
        assert dated["selectionRequest"]["searchParameters"] == {
            "q": ["productId:(EVE_01 OR EVE_02)"]
        }

        one_product = EVE_03
        more = await page.call(
            "POST", "/order/basket/selection", _selection(None, entityIdsToInclude=[one_product])
        )
        assert more.status == 200
        (dataset,) = more.payload["content"]["datasetSelections"]
        assert (dataset["objectsCount"], len(dataset["itemsSelections"])) == (3, 2)

        sent = await page.send_file(
            "/order/basket/selection/upload", "ids.txt", b"EVE_04\nNOT_THERE\n"
        )
        assert sent.status == 200
        read = await page.call("GET", "/order/basket")
        (dataset,) = read.payload["content"]["datasetSelections"]
        assert (dataset["objectsCount"], len(dataset["itemsSelections"])) == (4, 3)

        of_dataset = f"/order/basket/dataset/{dataset['id']}"
        filters = {"fileTypes": ["RAWDATA"], "fileNamePattern": ".*\\.txt"}
        filtered = await page.call("PUT", f"{of_dataset}/updateFileFilters", filters)
        (dataset,) = filtered.payload["content"]["datasetSelections"]
        assert dataset["fileSelectionDescription"] == filters
        assert (await page.call("PUT", f"{of_dataset}/updateFileFilters")).status == 200

        first_date = dataset["itemsSelections"][0]["date"]
        shorter = await page.call("DELETE", f"{of_dataset}/{first_date}")
        (dataset,) = shorter.payload["content"]["datasetSelections"]
        assert len(dataset["itemsSelections"]) == 2

        emptied = await page.call("DELETE", of_dataset)
        assert emptied.payload["content"]["datasetSelections"] == []
        assert (await page.call("DELETE", "/order/basket")).status == 204
        assert (await page.call("GET", "/order/basket")).status == 204


async def test_walk_through_an_order(here: Platform) -> None:
    """12.4: order, poll, list the files, download, order again, delete."""
    async with WebInterface.opened(here, new_user(here)) as page:
        await page.call(
            "POST", "/order/basket/selection", _selection(["productId:(EVE_01 OR EVE_02)"])
        )
        created = await page.call("POST", "/user/orders", {"label": "", "onSuccessUrl": FRONT})
        assert created.status == 201
        order_id = created.payload["content"]["id"]
        assert rels(created.payload) == {"self", "list", "pause"}
        assert (await page.call("GET", "/order/basket")).status == 204

        done = await page.until_status(order_id, "DONE")
        order = done["content"]
        assert rels(done) == {"self", "list", "download", "delete", "restart"}
        assert (order["percentCompleted"], order["waitingForUser"]) == (100, True)
        assert order["availableFilesCount"] == order["datasetTasks"][0]["filesCount"]
        history = await page.history()
        assert {"number", "size", "totalElements"} <= set(history["metadata"])

        task_id = order["datasetTasks"][0]["id"]
        files = await page.call(
            "GET", f"/orders/{order_id}/dataset/{task_id}/files", page=0, size=20
        )
        content = [item["content"] for item in files.payload["content"]]
        assert {file["state"] for file in content} == {"AVAILABLE"}
        assert all(
            {"id", "orderId", "filename", "dataType", "reference", "mimeType", "filesize"}
            <= set(file)
            for file in content
        )

        metalink = await page.follow(f"/user/orders/{order_id}/metalink/download")
        assert metalink.headers["Content-Type"].startswith("application/metalink+xml")
        one = await page.follow(f"/orders/files/{content[0]['id']}")
        assert len(one.content) == content[0]["filesize"]
        await page.until_state(f"/orders/{order_id}/dataset/{task_id}/files", "DOWNLOADED")
        archive = await page.follow(f"/user/orders/{order_id}/download")
        with zipfile.ZipFile(io.BytesIO(archive.content)) as opened:
            assert len(opened.namelist()) == len(content) - 1

        again = await page.call(
            "POST", f"/user/orders/{order_id}/restart", {"label": "again", "onSuccessUrl": FRONT}
        )
        assert (again.status, again.payload["content"]["label"]) == (201, "again")
        taken = await page.call(
            "POST", f"/user/orders/{order_id}/restart", {"label": "again", "onSuccessUrl": FRONT}
        )
        assert (taken.status, taken.message) == (422, "LABEL_NOT_UNIQUE_FOR_OWNER")
        too_long = await page.call(
            "POST", f"/user/orders/{order_id}/restart", {"label": "x" * 51, "onSuccessUrl": FRONT}
        )
        assert too_long.message == "TOO_MANY_CHARACTERS_IN_LABEL"

        assert (await page.call("DELETE", f"/user/orders/{order_id}")).status == 200
        left = [item["content"]["id"] for item in (await page.history())["content"]]
        assert left == [again.payload["content"]["id"]]


async def test_walk_of_pausing_and_resuming(here: Platform) -> None:
    """12.4: the buttons pause, resume and delete of an order whose files are still on tape."""
    here.sandbox.faults.silence = True
    async with WebInterface.opened(here, new_user(here)) as page:
        await page.call("POST", "/order/basket/selection", _selection(["productId:EVE_01"]))
        created = await page.call("POST", "/user/orders", {"label": "", "onSuccessUrl": FRONT})
        order_id = created.payload["content"]["id"]
        await page.until_status(order_id, "RUNNING")

        assert (await page.call("PUT", f"/user/orders/pause/{order_id}")).status == 200
        paused = await page.until_status(order_id, "PAUSED")
        assert {"resume", "delete"} <= rels(paused)
        twice = await page.call("PUT", f"/user/orders/pause/{order_id}")
        assert (twice.status, twice.message) == (401, "ORDER_MUST_BE_PENDING_OR_RUNNING")

        here.sandbox.faults.silence = False
        assert (await page.call("PUT", f"/user/orders/resume/{order_id}")).status == 200
        # The order may have joined a request of an earlier test, which came to storage during the silence.
        here.sandbox.restores.release()
        await page.until_status(order_id, "DONE")


async def test_walk_through_the_administration(here: Platform) -> None:
    """12.4 and 12.5: the orders of all users, their CSV, the settings, maintenance and modules."""
    owner = new_user(here)
    async with WebInterface.opened(here, owner) as page:
        await page.call("POST", "/order/basket/selection", _selection(["productId:EVE_01"]))
        created = await page.call("POST", "/user/orders", {"label": "", "onSuccessUrl": FRONT})
        order_id = created.payload["content"]["id"]
        await page.until_status(order_id, "DONE")

    async with WebInterface.opened(here, "admin@example.org", "PROJECT_ADMIN") as page:
        body = {
            "owner": owner,
            "statuses": {
                "values": ["DONE", "FAILED"],
                "mode": "INCLUDE",
                "ignoreCase": True,
                "matchMode": "STRICT",
            },
            "creationDate": {"after": "2024-01-01T00:00:00.000Z", "before": None},
            "waitingForUser": "true",
        }
        found = await page.call("POST", "/orders/search", body, page=0, size=20)
        assert [item["content"]["id"] for item in found.payload["content"]] == [order_id]
        assert (await page.call("GET", "/orders/search")).status == 405
        csv = await page.call("POST", "/orders/csv", body)
        assert csv.headers["Content-Disposition"].split("filename=")[1] == "orders.csv"
        header, row = csv.payload.decode().splitlines()
        assert header.startswith("ORDER_ID;CREATION_DATE;EXPIRATION_DATE")
        assert row.split(";")[0] == str(order_id)

        settings = await page.call("GET", "/settings")
        by_name = {item["content"]["name"]: item for item in settings.payload}
        assert by_name.keys() >= {
            "user_order_parameters",
            "app_sub_order_duration",
            "expiration_max_duration_in_hours",
        }
        for name, item in by_name.items():
            assert "update" in rels(item)
            assert {"name", "value", "defaultValue"} <= set(item["content"])
            value = item["content"]["value"]
            sent = value if isinstance(value, dict | list) else str(value)
            saved = await page.call("PUT", f"/settings/{name}", {**item["content"], "value": sent})
            assert (saved.status, saved.payload["content"]["value"]) == (200, value)

        assert (await page.call("GET", "/actuator/info")).status == 200
        states = await page.call("GET", "/maintenance")
        assert states.payload["content"]["project1"]["active"] is False
        assert (await page.call("PUT", "/maintenance/project1/enable")).status == 200
        refused = await page.call("POST", "/order/basket/selection", _selection(["x"]))
        assert refused.status == 515
        assert (await page.call("PUT", "/maintenance/project1/disable")).status == 200

        assert (await page.call("GET", "/microservice/configuration/enabled")).status == 200
        exported = await page.follow("/microservice/configuration")
        imported = await page.send_file(
            "/microservice/configuration", "config-rs-order.json", exported.content
        )
        assert imported.status == 201
        assert (await page.call("GET", "/regards/project1/datasource/test")).status == 200

        assert (await page.call("DELETE", f"/user/orders/{order_id}")).status == 200
        assert (await page.call("DELETE", f"/user/orders/remove/{order_id}")).status == 200
        assert (await page.call("GET", f"/user/orders/{order_id}")).status == 404
