"""Searches, summaries, pages and dataset entities over HTTP."""

from __future__ import annotations

import hashlib
import re
import time

import httpx
import pytest

from rs_order.sandbox.simulated_platform import Sandbox
from rs_order.sandbox.synthetic import SyntheticDataset
from rs_order.sandbox.user_directory import User
from tests.sandbox.client import ORDERABLE, Client, calling

EIT_URN = "URN:AIP:DATASET:demo:c0438116-7605-5612-9805-0dd6060ebac4:V1"
HMI_URN = "URN:AIP:DATASET:demo:635d815c-2717-5345-a933-d76b6665aad8:V1"
EIT_PRODUCT = "URN:AIP:DATA:demo:646b593d-c152-5c9a-9dfe-17c9f0fff04b:V1"
OTHER_EIT_PRODUCT = "URN:AIP:DATA:demo:b94e9b9e-4557-56e0-b532-ce6620e818c2:V1"


async def test_summary_counts_by_dataset_and_type(client: Client) -> None:
    """Each dataset and the total have all twelve keys and the sizes of stored files."""
    summary = (await client.summary("dataset:SDO_HMI")).json()

    sub = summary["subSummariesMap"][HMI_URN]
    keys = {f"{kind}{suffix}" for kind in ORDERABLE for suffix in ("", "_ref", "_!ref")}
    assert set(sub["fileTypesSummaryMap"]) == keys
    assert sub["fileTypesSummaryMap"]["RAWDATA"] == {"filesCount": 1, "filesSize": 89280}
    assert sub["fileTypesSummaryMap"]["QUICKLOOK_SD_!ref"] == {"filesCount": 1, "filesSize": 84511}
    assert sub["fileTypesSummaryMap"]["QUICKLOOK_SD_ref"] == {"filesCount": 0, "filesSize": 0}
    assert (sub["documentsCount"], sub["filesCount"], sub["filesSize"]) == (1, 2, 173791)
    assert (summary["documentsCount"], summary["filesCount"]) == (1, 2)


async def test_summary_counts_external_files_without_size(client: Client) -> None:
    summary = (await client.summary("dataset:NOAA_SRS")).json()

    types = summary["fileTypesSummaryMap"]
    assert types["RAWDATA_ref"] == {"filesCount": 12, "filesSize": 0}
    assert types["RAWDATA_!ref"] == {"filesCount": 0, "filesSize": 0}


async def test_summary_of_nothing_is_zero(client: Client) -> None:
    summary = (await client.summary("providerId:nothing")).json()

    assert (summary["filesCount"], summary["subSummariesMap"]) == (0, {})


async def test_requests_are_a_union_counted_once(client: Client) -> None:
    summary = await client.summary("dataset:SDO_HMI", "providerId:HMI_20230131T033923", "SDO_HMI")

    assert summary.json()["documentsCount"] == 1


async def test_pages_are_stable_disjoint_and_end_empty(client: Client) -> None:
    """Pages of two, sorted by URN, contain every product once; later pages are empty."""
    pages = [await client.features("*", page=number, size=2) for number in range(21)]

    urns = [feature["id"] for page in pages for feature in page]
    assert len(urns) == len(set(urns)) == 39
    assert urns == sorted(urns)
    assert [len(page) for page in pages[-3:]] == [2, 1, 0]


async def test_page_has_its_number_and_links(client: Client) -> None:
    body = (await client.search("*", page=1, size=20)).json()

    assert body["metadata"] == {"size": 20, "totalElements": 39, "totalPages": 2, "number": 1}
    assert [set(link) for link in body["links"]] == [{"rel", "href"}]


async def test_feature_describes_its_files(client: Client) -> None:
    """A nearline file has size and checksum, and a URI of the catalog."""
    [feature] = await client.features('providerId:"EIT_20040301T000010"')

    assert (feature["entityType"], feature["id"]) == ("DATA", EIT_PRODUCT)
    [file] = feature["files"]["RAWDATA"]
    checksum = "bdacea8567cded6badba4b19f68f52db"
    assert (file["reference"], file["online"], file["filesize"]) == (False, False, 141120)
    assert (file["checksum"], file["digestAlgorithm"]) == (checksum, "MD5")
    assert file["uri"].endswith(f"/rs-catalog/downloads/{EIT_PRODUCT}/files/{checksum}")


async def test_external_file_has_what_the_manifest_publishes(client: Client) -> None:
    """It has no size and no checksum, and a URL that serves the bytes without a token."""
    [feature] = await client.features("providerId:SRS_19960106")
    [file] = feature["files"]["RAWDATA"]
    async with httpx.AsyncClient(timeout=60) as anybody:
        content = (await anybody.get(file["uri"])).content

    assert file["reference"] is True
    assert not {"filesize", "checksum"} & set(file)
    assert hashlib.md5(content).hexdigest() == "ca92c905ab0d5761695012bf4657c60c"  # noqa: S324


async def test_urns_carry_the_tenant_of_the_caller(sandbox: Sandbox, client: Client) -> None:
    other = {"Authorization": f"Bearer {sandbox.token(tenant='project1')}"}
    client.http.headers.update(other)

    [feature] = await client.features('providerId:"EIT_20040301T000010"')

    assert feature["id"] == EIT_PRODUCT.replace(":demo:", ":project1:")
    assert EIT_URN.replace(":demo:", ":project1:") in feature["tags"]


@pytest.mark.parametrize(
    ("restriction", "expected"),
    [
        ({"datasetUrn": EIT_URN}, 2),
        ({"datasetUrn": EIT_URN.replace("demo", "project1")}, 0),
        ({"datasetUrn": "URN:AIP:DATASET:demo:nothing:V1"}, 0),
        ({"entityIdsToInclude": [EIT_PRODUCT]}, 1),
        ({"entityIdsToInclude": [EIT_PRODUCT.replace("demo", "project1")]}, 0),
        ({"datasetUrn": EIT_URN, "entityIdsToExclude": [OTHER_EIT_PRODUCT]}, 1),
        ({"entityIdsToInclude": [EIT_PRODUCT], "entityIdsToExclude": [EIT_PRODUCT]}, 0),
        ({"datasetUrn": EIT_URN, "searchDateLimit": "2024-01-01T00:00:00Z"}, 0),
        ({"datasetUrn": EIT_URN, "searchDateLimit": "2024-01-01T00:00:00.000001Z"}, 2),
        ({"entityIdsToInclude": []}, 39),
    ],
)
async def test_request_restricts_the_query(
    client: Client, restriction: dict[str, object], expected: int
) -> None:
    assert len(await client.found("*", request=restriction)) == expected


@pytest.mark.parametrize("query", ["nosuch:1", "properties.nosuch:1", "a AND", "f:/(/"])
async def test_bad_query_is_400_with_messages(client: Client, query: str) -> None:
    for answer in (await client.search(query), await client.summary(query)):
        assert answer.status_code == 400
        assert answer.json()["messages"]


async def test_malformed_search_is_422_with_messages(client: Client) -> None:
    answer = await client.search()

    assert answer.status_code == 422
    assert "requests" in answer.json()["messages"][0]


async def test_dataset_is_found_by_urn(client: Client) -> None:
    found = await client.get("CATALOG_URL", f"/engines/legacy/datasets/{EIT_URN}")
    missing = await client.get("CATALOG_URL", "/engines/legacy/datasets/URN:AIP:DATASET:demo:x:V1")

    assert found.json()["content"]["label"] == "SOHO EIT full-disk images"
    assert missing.status_code == 404


async def test_dam_serves_attached_files(client: Client) -> None:
    """The raw entity has no envelope. The URI of its file ends with /dam; rs-dam serves it."""
    entity = (await client.get("DAM_URL", f"/datasets/ipId/{EIT_URN}")).json()
    [file] = entity["feature"]["files"]["RAWDATA"]
    path = f"/entities/{EIT_URN}/files/{file['checksum']}?isContentInline=false"
    download = await client.get("DAM_URL", path)

    assert file["uri"].endswith("/dam")
    assert hashlib.md5(download.content).hexdigest() == file["checksum"]  # noqa: S324
    assert int(download.headers["content-length"]) == file["filesize"]


@pytest.mark.parametrize(
    "path",
    ["/datasets/ipId/URN:AIP:DATASET:demo:x:V1", f"/entities/{EIT_URN}/files/{'0' * 32}"],
)
async def test_dam_answers_404(client: Client, path: str) -> None:
    assert (await client.get("DAM_URL", path)).status_code == 404


async def test_user_without_group_finds_nothing(sandbox: Sandbox) -> None:
    sandbox.directory.put(User(email="none@example.org", access_groups=[]))
    async with calling(sandbox, "none@example.org") as client:
        found = await client.found("*")
        summary = (await client.summary("*")).json()

    assert (found, summary["documentsCount"]) == ([], 0)


async def test_user_without_data_access_sees_quicklooks_only(sandbox: Sandbox) -> None:
    sandbox.directory.put(User(email="poor@example.org", raw_data_access=False))
    async with calling(sandbox, "poor@example.org") as client:
        [feature] = await client.features("dataset:SDO_HMI")
        summary = (await client.summary("dataset:SDO_HMI")).json()

    assert set(feature["files"]) == {"QUICKLOOK_SD"}
    assert summary["filesCount"] == 1


async def test_million_products_are_searched_quickly(sandbox: Sandbox, client: Client) -> None:
    """The cost of a summary and of a page doesn't depend on the number of products."""
    await sandbox.add_dataset(SyntheticDataset(name="big", products=1_000_000))
    started = time.process_time()
    summary = (await client.summary("dataset:big")).json()
    last = await client.features("dataset:big", page=99, size=10_000)
    beyond = await client.found("dataset:big", page=100, size=10_000)
    took = time.process_time() - started

    assert summary["filesSize"] == 1024 * 1_000_000
    assert (last[0]["providerId"], last[-1]["providerId"]) == (
        "SYN_big_0990001",
        "SYN_big_1000000",
    )
    assert [feature["id"] for feature in last] == sorted(feature["id"] for feature in last)
    assert beyond == []
    assert took < 5


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('providerId:("SYN_few_0000002" OR SYN_few_0000009)', ["0000002", "0000009"]),
        ("dataset:few AND index:[3 TO 4]", ["0000003", "0000004"]),
        ("rawdata:SYN_few_0000005.rawdata.dat", ["0000005"]),
        ("providerId:SYN_few_000001", ["0000010", "0000011", "0000012"]),
        ("providerId:SYN_few_0000013", []),
    ],
)
async def test_generated_products_are_selected(
    sandbox: Sandbox, client: Client, query: str, expected: list[str]
) -> None:
    await sandbox.add_dataset(SyntheticDataset(name="few", products=12))

    found = [re.sub("^SYN_few_", "", one) for one in await client.found(query)]

    assert found == expected


async def test_generated_product_is_found_by_urn(sandbox: Sandbox, client: Client) -> None:
    await sandbox.add_dataset(SyntheticDataset(name="few", products=12))
    [feature] = await client.features("providerId:SYN_few_0000007")

    included = await client.found("*", request={"entityIdsToInclude": [feature["id"]]})

    assert included == ["SYN_few_0000007"]


async def test_generated_content_has_its_checksum_even_if_no_page_contained_it(
    sandbox: Sandbox, client: Client
) -> None:
    """After a restart storage finds every file and serves the same bytes."""
    spec = SyntheticDataset(name="few", products=50, size=100_000, location="online")
    [feature] = [(await sandbox.add_dataset(spec)).product(at).files[0] for at in [31]]
    await sandbox.add_dataset(spec)

    download = await client.download(feature.checksum)

    assert len(download.content) == 100_000
    assert hashlib.md5(download.content).hexdigest() == feature.checksum  # noqa: S324


async def test_large_generated_file_is_streamed(sandbox: Sandbox, client: Client) -> None:
    size = 50 * 1024 * 1024 + 7
    spec = SyntheticDataset(name="huge", products=1, size=size, location="online")
    [file] = (await sandbox.add_dataset(spec)).product(0).files
    digest, length = hashlib.md5(usedforsecurity=False), 0
    url = f"{sandbox.urls['STORAGE_URL']}/files/{file.checksum}/download"
    async with client.http.stream("GET", url) as answer:
        async for chunk in answer.aiter_bytes():
            digest.update(chunk)
            length += len(chunk)

    assert (length, digest.hexdigest()) == (size, file.checksum)
