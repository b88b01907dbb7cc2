"""The processes of rs-processing over HTTP (remote-services.md 4.1)."""

from __future__ import annotations

from uuid import uuid4

from rs_order.sandbox.process_catalog import DEMO_PROCESSES, Process, Scope, SizeLimit, process_id
from rs_order.sandbox.simulated_platform import Sandbox
from tests.sandbox.client import Client


async def test_a_process_is_described_in_texts(client: Client) -> None:
    answer = await client.get("PROCESSING_URL", f"/process/{process_id('reproject')}")

    assert answer.status_code == 200
    assert answer.json() == {
        "processId": str(process_id("reproject")),
        "processName": "reproject",
        "active": True,
        "processInfo": {
            "scope": "FEATURE",
            "cardinality": "ONE_PER_FEATURE",
            "datatypes": "RAWDATA",
            "sizeLimitType": "NO_LIMIT",
            "sizeLimitValue": "0",
            "sizeForecast": "*2.500000",
            "forbidSplitInSuborders": "false",
            "regards.tenant": "demo",
            "regards.userRole": "REGISTERED_USER",
        },
        "params": [{"name": "epsg", "desc": "Target EPSG code"}],
    }


async def test_all_processes_are_listed(client: Client) -> None:
    answer = await client.get("PROCESSING_URL", "/process")

    assert [one["processName"] for one in answer.json()] == [one.name for one in DEMO_PROCESSES]


async def test_an_unknown_process_is_an_empty_answer(client: Client) -> None:
    """The status is 200, not 404, as in the real service."""
    for unknown in (str(uuid4()), "nonsense"):
        answer = await client.get("PROCESSING_URL", f"/process/{unknown}")

        assert (answer.status_code, answer.content) == (200, b"")


async def test_processes_can_be_added_and_removed(client: Client, sandbox: Sandbox) -> None:
    """The control API changes them until the sandbox is reset."""
    process = Process(
        id=uuid4(),
        name="mine",
        scope=Scope.SUBORDER,
        limit_type=SizeLimit.FILES,
        limit=3,
        forbids_split=True,
        info={"sizeForecast": None, "cardinality": "nonsense"},
    )
    body = process.model_dump(mode="json")
    url = f"{sandbox.url}/sandbox/processes"
    put = await client.http.put(f"{url}/{process.id}", json=body)
    listed = (await client.http.get(url)).json()
    received = (await client.get("PROCESSING_URL", f"/process/{process.id}")).json()["processInfo"]

    assert put.status_code == 204
    assert listed[-1] == body
    assert (received["sizeLimitType"], received["sizeLimitValue"]) == ("FILES", "3")
    assert received["forbidSplitInSuborders"] == "true"
    assert received["cardinality"] == "nonsense"
    assert "sizeForecast" not in received

    assert (await client.http.delete(f"{url}/{process.id}")).status_code == 204
    assert (await client.http.delete(f"{url}/{process.id}")).status_code == 404

    sandbox.processes.add(process)
    sandbox.reset()

    assert [one.name for one in sandbox.processes] == [one.name for one in DEMO_PROCESSES]
