"""Batches over HTTP, executions, their output files and their results."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from rs_order.sandbox.amqp_wire import EXECUTION_RESULT
from rs_order.sandbox.process_catalog import process_id
from rs_order.sandbox.simulated_platform import Sandbox
from tests.sandbox.client import Client
from tests.support.polling import eventually

BATCH = "order-1_dsSel-2_subOrder-1"
THIS_FILE = Path(__file__)
URNS = ("URN:AIP:DATA:demo:a:V1", "URN:AIP:DATA:demo:b:V1")


def _path(url: str) -> Path:
    return Path(url.removeprefix("file:"))


def _exists(url: str) -> bool:
    return _path(url).exists()


async def make_batch(client: Client, process: str, **changes: Any) -> Any:
    """Return the response to the request for a batch of a demo process."""
    body = {
        "correlationId": BATCH,
        "processBusinessId": str(process_id(process)),
        "tenant": "demo",
        "user": "jane@example.org",
        "userRole": "REGISTERED_USER",
        "parameters": {},
        "filesetsByDataset": {},
        **changes,
    }
    return await client.http.post(client.sandbox.urls["PROCESSING_URL"] + "/batch", json=body)


def a_request(batch_id: str) -> dict[str, Any]:
    """Return an execution request with two products of two files each."""
    return {
        "executionCorrelationId": "opaque",
        "batchId": batch_id,
        "inputFiles": [
            {
                "bytes": 1,
                "checksum": "c",
                "fileName": f"f{number}",
                "localRelativePath": f"{urn}/f{number}",
                "metadata": {"internal": "true", "featureId": urn},
                "inputCorrelationId": f"file:/{BATCH}/{urn}/f{number}",
            }
            for urn in URNS
            for number in range(2)
        ],
    }


async def results_of(client: Client, process: str) -> list[dict[str, Any]]:
    """Run a process and return the results that were published."""
    batch = (await make_batch(client, process)).json()
    client.sandbox.executions.accept("demo", a_request(batch["batchId"]))

    async def received() -> list[dict[str, Any]]:
        sent = [one.event for one in client.sandbox.events_since()]
        return [event.body for event in sent if event.type == EXECUTION_RESULT]

    found: list[dict[str, Any]] = await eventually(received, "a result")
    return found


@pytest.mark.parametrize(
    ("process", "inputs"), [("mosaic", [4]), ("footprints", [2, 2]), ("checksums", [1, 1, 1, 1])]
)
async def test_an_execution_makes_files_by_its_cardinality(
    process: str, inputs: list[int], client: Client
) -> None:
    """The result has real files with their true SHA-256, and the ids of the request."""
    (result,) = await results_of(client, process)

    assert result["batchCorrelationId"] == BATCH
    assert result["executionCorrelationId"] == "opaque"
    assert result["finalStatus"] == "SUCCESS"
    assert set(result["processInfo"]) >= {"scope", "cardinality", "sizeForecast"}
    assert [len(output["inputCorrelationIds"]) for output in result["outputs"]] == inputs
    for output in result["outputs"]:
        content = _path(output["url"]).read_bytes()
        assert output["size"] == len(content)
        assert output["checksumValue"] == hashlib.sha256(content).hexdigest()


async def test_faults_of_results(client: Client) -> None:
    """A result has fewer files and unknown inputs, and is sent twice."""
    faults = client.sandbox.faults
    faults.missing_outputs, faults.wrong_input_ids, faults.duplicates = 1, True, 2
    first, second = await results_of(client, "footprints")

    assert first == second
    (output,) = first["outputs"]
    assert output["inputCorrelationIds"] == ["file:/nobody/knows/it"]


async def test_an_execution_that_fails_makes_nothing(client: Client) -> None:
    client.sandbox.faults.processing_status = "TIMED_OUT"
    client.sandbox.faults.processing_messages = ["too slow"]
    (result,) = await results_of(client, "mosaic")

    assert (result["finalStatus"], result["outputs"]) == ("TIMED_OUT", [])
    assert result["messages"] == ["too slow"]


async def test_an_output_that_was_downloaded_is_deleted(client: Client) -> None:
    """Files outside the folder are not deleted."""
    (result,) = await results_of(client, "mosaic")
    url = result["outputs"][0]["url"]
    await client.sandbox.executions.outputs_downloaded([url, f"file:{THIS_FILE}"])

    assert (_exists(url), _exists(str(THIS_FILE))) == (False, True)


async def test_an_execution_of_an_unknown_batch_has_no_result(sandbox: Sandbox) -> None:
    """The real rs-processing does the same (remote-services.md 4.8)."""
    sandbox.executions.accept("demo", a_request(str(uuid4())))

    assert sandbox.executions.requested == []


@pytest.mark.parametrize("member", ["bytes", "checksum", "fileName", "inputCorrelationId"])
async def test_an_input_without_a_mandatory_member_is_rejected(member: str, client: Client) -> None:
    """None of these may be null (remote-services.md 4.3)."""
    batch = (await make_batch(client, "mosaic")).json()
    request = a_request(batch["batchId"])
    request["inputFiles"][1][member] = None

    with pytest.raises(ValueError, match=member):
        client.sandbox.executions.accept("demo", request)


async def test_batches_are_rejected(client: Client) -> None:
    """A batch of an unknown process is rejected, and any batch while the fault is set."""
    unknown = await make_batch(client, "mosaic", processBusinessId=str(uuid4()))
    client.sandbox.faults.batch_status = 403
    rejected = await make_batch(client, "mosaic")

    assert (unknown.status_code, rejected.status_code) == (500, 403)


async def test_executions_and_rights_over_the_control_interface(client: Client) -> None:
    """Another process can read the executions and change rights."""
    await results_of(client, "mosaic")
    url = f"{client.sandbox.url}/sandbox"
    (execution,) = (await client.http.get(f"{url}/executions")).json()
    change = {"tenant": "demo", "type": "DELETE"}
    process = process_id("mosaic")
    answer = await client.http.post(f"{url}/processes/{process}/rights", json=change)

    assert execution["batch_correlation_id"] == BATCH
    assert answer.status_code == 204
    event = client.sandbox.events_since()[-1].event
    assert event.body["type"] == "DELETE"
    assert event.body["before"]["pluginConfiguration"] == {"businessId": str(process)}
