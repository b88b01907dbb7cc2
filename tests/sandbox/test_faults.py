"""Every fault over HTTP has its effect and no other."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from rs_order.sandbox.faults import FaultError, Faults, Outage, OutageMode, Quota, Service
from rs_order.sandbox.simulated_platform import Sandbox
from tests.sandbox.client import Client

ONLINE = "32addae2b6b77b3ab3e04085605adea5"
ONLINE_SIZE = 84511
ONLINE_RAW = "a334ebcd15a066f6fb891726e4882057"


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


async def _outage(sandbox: Sandbox, **outage: Any) -> None:
    sandbox.faults.outages = {Service.ADMIN: Outage(**outage)}


async def test_without_fault_a_download_is_whole(client: Client) -> None:
    answer = await client.download(ONLINE)

    assert (answer.status_code, _md5(answer.content)) == (200, ONLINE)
    assert answer.headers["content-length"] == str(ONLINE_SIZE)
    assert answer.headers["content-type"] == "image/jp2"
    assert answer.headers["content-disposition"].startswith('attachment; filename="2023_01_31')


async def test_wrong_bytes_keep_the_length(sandbox: Sandbox, client: Client) -> None:
    sandbox.faults.wrong_bytes = {ONLINE}

    answer = await client.download(ONLINE)

    assert len(answer.content) == ONLINE_SIZE
    assert _md5(answer.content) != ONLINE


async def test_truncated_body_is_announced_as_whole(sandbox: Sandbox, client: Client) -> None:
    sandbox.faults.truncated = {"*"}

    answer = await client.download(ONLINE)

    assert answer.headers["content-length"] == str(len(answer.content)) == str(ONLINE_SIZE // 2)


async def test_cut_connection_delivers_half(sandbox: Sandbox, client: Client) -> None:
    sandbox.faults.cut = {ONLINE}
    url = f"{sandbox.urls['STORAGE_URL']}/files/{ONLINE}/download"
    async with client.http.stream("GET", url) as answer:
        announced = answer.headers["content-length"]
        with pytest.raises(httpx.RemoteProtocolError, match="closed connection"):
            await answer.aread()

    assert announced == str(ONLINE_SIZE)
    assert answer.num_bytes_downloaded == ONLINE_SIZE // 2


async def test_cut_concerns_no_other_file(sandbox: Sandbox, client: Client) -> None:
    sandbox.faults.cut = {ONLINE}

    assert (await client.download(ONLINE_RAW)).status_code == 200


async def test_content_length_can_be_missing(sandbox: Sandbox, client: Client) -> None:
    sandbox.faults.without_length = {ONLINE}

    answer = await client.download(ONLINE)

    assert "content-length" not in answer.headers
    assert _md5(answer.content) == ONLINE


async def test_downloads_can_be_slow(sandbox: Sandbox, client: Client) -> None:
    sandbox.faults.slow_bytes_per_second = ONLINE_SIZE / 0.3

    answer = await client.download(ONLINE)

    assert answer.elapsed.total_seconds() >= 0.25
    assert _md5(answer.content) == ONLINE


async def test_quota_counts_raw_data_and_rejects_with_the_text_of_storage(
    sandbox: Sandbox, client: Client
) -> None:
    sandbox.faults.quotas = {"jane@example.org": Quota(max_files=1)}

    statuses = [(await client.download(ONLINE_RAW)).status_code]
    rejected = await client.download(ONLINE_RAW)
    quicklook = await client.download(ONLINE)

    assert statuses == [200]
    assert rejected.status_code == 429
    assert rejected.headers["content-type"].startswith("text/plain")
    assert rejected.text == "Download quota of 1 exceeded (by 1) for user jane@example.org."
    assert quicklook.status_code == 200


async def test_rate_limits_simultaneous_downloads(sandbox: Sandbox, client: Client) -> None:
    sandbox.faults.quotas = {"jane@example.org": Quota(max_rate=0)}

    rejected = await client.download(ONLINE_RAW)

    assert rejected.text == "Download rate of 0 exceeded (by 1) for user jane@example.org."


async def test_rate_counts_only_running_downloads(sandbox: Sandbox, client: Client) -> None:
    sandbox.faults.quotas = {"jane@example.org": Quota(max_rate=1)}

    statuses = [(await client.download(ONLINE_RAW)).status_code for _ in range(3)]

    assert statuses == [200, 200, 200]


@pytest.mark.parametrize("checksum", ["0" * 32, "nonsense"])
async def test_unknown_file_is_404(client: Client, checksum: str) -> None:
    assert (await client.download(checksum)).status_code == 404


async def test_service_down_closes_the_connection(sandbox: Sandbox, client: Client) -> None:
    await _outage(sandbox, mode=OutageMode.DOWN)

    with pytest.raises(httpx.RemoteProtocolError):
        await client.get("ADMIN_URL", "/roles")
    assert (await client.get("ADMIN_INSTANCE_URL", "/tenants")).status_code == 200


async def test_service_answers_a_forced_status(sandbox: Sandbox, client: Client) -> None:
    await _outage(sandbox, mode=OutageMode.STATUS, status=418)

    answer = await client.get("ADMIN_URL", "/roles")

    assert answer.status_code == 418
    assert answer.json()["messages"]


async def test_service_answers_no_json(sandbox: Sandbox, client: Client) -> None:
    await _outage(sandbox, mode=OutageMode.NONSENSE)

    answer = await client.get("ADMIN_URL", "/roles")

    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()


async def test_service_answers_json_of_the_wrong_shape(sandbox: Sandbox, client: Client) -> None:
    await _outage(sandbox, mode=OutageMode.GARBAGE)

    assert (await client.get("ADMIN_URL", "/roles")).json()["content"] == 42


async def test_service_answers_without_body(sandbox: Sandbox, client: Client) -> None:
    await _outage(sandbox, mode=OutageMode.EMPTY)

    answer = await client.get("ADMIN_URL", "/roles")

    assert (answer.status_code, answer.content) == (200, b"")


async def test_service_answers_half_a_body(sandbox: Sandbox, client: Client) -> None:
    await _outage(sandbox, mode=OutageMode.HALF)

    with pytest.raises(httpx.RemoteProtocolError):
        await client.get("ADMIN_URL", "/roles")


async def test_service_answers_late(sandbox: Sandbox, client: Client) -> None:
    await _outage(sandbox, mode=OutageMode.SLOW, seconds=0.3)

    answer = await client.get("ADMIN_URL", "/users/email/jane@example.org/admin")

    assert answer.json() is False
    assert answer.elapsed.total_seconds() >= 0.3


async def test_outage_ends_after_its_calls(sandbox: Sandbox, client: Client) -> None:
    await _outage(sandbox, mode=OutageMode.STATUS, calls=2)

    statuses = [(await client.get("ADMIN_URL", "/roles")).status_code for _ in range(3)]

    assert statuses == [503, 503, 200]


async def test_summaries_can_lack_reference_keys(sandbox: Sandbox, client: Client) -> None:
    sandbox.faults.missing_ref_keys = True

    summary = (await client.summary("dataset:SDO_HMI")).json()

    [sub] = summary["subSummariesMap"].values()
    assert "RAWDATA" in sub["fileTypesSummaryMap"]
    assert not any(key.endswith("ref") for key in sub["fileTypesSummaryMap"])


async def test_products_of_a_dataset_can_be_counted_and_not_listed(
    sandbox: Sandbox, client: Client
) -> None:
    """Searches that find none of them are answered."""
    sandbox.faults.unread_datasets = {"SDO_HMI"}

    assert (await client.summary("dataset:SDO_HMI")).json()["documentsCount"] == 1
    assert (await client.search("dataset:SDO_HMI")).status_code == 503
    assert (await client.search("dataset:SDO_EVE")).status_code == 200


async def test_stored_file_can_lack_its_size(sandbox: Sandbox, client: Client) -> None:
    """The file is in the search and not in the summary."""
    sandbox.faults.without_filesize = {ONLINE}

    [feature] = await client.features("dataset:SDO_HMI")
    summary = (await client.summary("dataset:SDO_HMI")).json()

    assert "filesize" not in feature["files"]["QUICKLOOK_SD"][0]
    assert "filesize" in feature["files"]["RAWDATA"][0]
    assert summary["filesCount"] == 1


async def test_product_added_later_is_after_the_date_limit(
    sandbox: Sandbox, client: Client
) -> None:
    sandbox.faults.created = {"HMI_20230131T033923": datetime(2026, 1, 1, tzinfo=UTC)}
    limit = {"searchDateLimit": "2025-12-31T00:00:00Z"}

    assert await client.found("dataset:SDO_HMI", request=limit) == []
    assert await client.found("dataset:SDO_HMI") == ["HMI_20230131T033923"]


async def test_project_can_lack_its_host(sandbox: Sandbox, client: Client) -> None:
    before = (await client.get("ADMIN_INSTANCE_URL", "/projects/DEMO")).json()
    sandbox.faults.project_without_host = True
    after = (await client.get("ADMIN_INSTANCE_URL", "/projects/demo")).json()

    assert before["content"]["host"] == "http://localhost:9043"
    assert "host" not in after["content"]


async def test_faults_are_replaced_changed_and_reset_over_http(
    sandbox: Sandbox, client: Client
) -> None:
    """PUT replaces all faults, PATCH changes the given ones, a reset removes all."""
    url = f"{sandbox.url}/sandbox"
    await client.http.put(f"{url}/faults", json={"nearline_seconds": 9, "silence": True})
    await client.http.patch(f"{url}/faults", json={"noise": 3})
    changed = (await client.http.get(f"{url}/faults")).json()
    await client.http.put(f"{url}/faults", json={"duplicates": 2})
    replaced = sandbox.faults.model_copy()
    await client.http.post(f"{url}/reset")

    assert (changed["nearline_seconds"], changed["silence"], changed["noise"]) == (9, True, 3)
    assert replaced == Faults(duplicates=2)
    assert sandbox.faults == Faults()


@pytest.mark.parametrize("body", [{"silense": True}, {"duplicates": 0}])
async def test_wrong_fault_is_rejected_over_http(
    sandbox: Sandbox, client: Client, body: dict[str, Any]
) -> None:
    url = f"{sandbox.url}/sandbox/faults"

    assert (await client.http.put(url, json=body)).status_code == 422
    assert (await client.http.patch(url, json=body)).status_code == 422
    assert sandbox.faults == Faults()


def test_faults_are_read_from_options() -> None:
    faults = Faults.from_options(
        ["nearline_seconds=5", "outages.rs-catalog.mode=down", 'silent_checksums=["*"]']
    )

    assert faults == Faults(
        nearline_seconds=5,
        outages={Service.CATALOG: Outage(mode=OutageMode.DOWN)},
        silent_checksums={"*"},
    )


@pytest.mark.parametrize("option", ["silence", "silense=true", "duplicates=0", "noise.deep=1"])
def test_wrong_option_is_rejected(option: str) -> None:
    with pytest.raises(FaultError, match="--fault"):
        Faults.from_options([option])
