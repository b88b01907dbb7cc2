"""The zip of an order with files of rs-storage, of rs-dam and of an external server."""

import io
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from rs_order.domain.files import Product
from rs_order.domain.identity import Caller
from rs_order.domain.ids import DataFileId, Urn
from rs_order.domain.selection import SelectionRequest
from rs_order.downloads.order_zip import ZipRequest, zip_order
from rs_order.ports import FetchResult, FileToDownload
from rs_order.regards.catalog import RegardsCatalog, RegardsDatasetFiles
from rs_order.regards.file_sources import (
    ExternalAccess,
    ExternalFiles,
    RegardsFileSources,
    StoredFiles,
)
from rs_order.regards.http import FILE_LIMITS, RemoteService, TokenIssuer, new_client
from rs_order.sandbox.faults import Quota
from rs_order.sandbox.launch import running_sandbox
from rs_order.sandbox.products import Location
from rs_order.sandbox.simulated_platform import Sandbox, SandboxOptions
from rs_order.sandbox.synthetic import SyntheticDataset
from tests.regards.conftest import LOOPBACK
from tests.rest.conftest import KEY
from tests.rest.fake_downloads import DEMO, ORDER, OWNER, DownloadableOrder, FakeDownloads

EIT = Urn("URN:AIP:DATASET:demo:c0438116-7605-5612-9805-0dd6060ebac4:V1")


class Platform:
    """A sandbox, the clients that read from it, and the order."""

    def __init__(
        self,
        sandbox: Sandbox,
        sources: RegardsFileSources,
        order: FakeDownloads,
        files: list[Product],
    ) -> None:
        self.sandbox = sandbox
        self.sources = sources
        self.order = order
        for product in files:
            for file in product.files:
                self.order.files.append(
                    FileToDownload(
                        id=DataFileId(len(self.order.files) + 1),
                        product=product.urn,
                        name=file.name,
                        url=file.url,
                        external=file.external,
                        size=file.size,
                        checksum=file.checksum,
                        checksum_algorithm=file.checksum_algorithm,
                    )
                )

    async def download(self) -> zipfile.ZipFile:
        request = ZipRequest(DEMO, ORDER, OWNER, datetime.now(UTC))
        archive = b"".join(
            [
                piece
                async for piece in zip_order(self.order, self.order.settle, self.sources, request)
            ]
        )
        return zipfile.ZipFile(io.BytesIO(archive))


@pytest.fixture
async def platform(downloadable: DownloadableOrder) -> AsyncIterator[Platform]:
    """An order of ten stored files, files attached to a dataset, and external files of the archive."""
    tokens = TokenIssuer(KEY)
    dataset = SyntheticDataset(name="online", products=10, size=100_000, location=Location.ONLINE)
    options = SandboxOptions(jwt_key=KEY, synthetic=[dataset])
    async with (
        running_sandbox(options) as sandbox,
        new_client() as client,
        new_client(FILE_LIMITS, decode=False) as files,
    ):
        urls = sandbox.urls
        catalog = RegardsCatalog(RemoteService("rs-catalog", urls["CATALOG_URL"], client), tokens)
        dam = RegardsDatasetFiles(RemoteService("rs-dam", urls["DAM_URL"], client), tokens)
        caller = Caller(DEMO, OWNER, "PROJECT_ADMIN")
        everything = [SelectionRequest.of_query("*", datetime.now(UTC))]
        products = (await catalog.search(caller, everything, page=0, size=1000)).products
        attached = await dam.attached_files(DEMO, EIT)
        assert attached is not None
        external = ExternalFiles(ExternalAccess(policy=LOOPBACK))
        stored = StoredFiles(
            files, tokens, storage_url=urls["STORAGE_URL"], dam_url=urls["DAM_URL"]
        )
        sources = RegardsFileSources(stored, external)
        selected = [
            product
            for product in products
            if (product.provider_id or "").startswith("SYN_") or product.files[0].external
        ]
        yield Platform(sandbox, sources, downloadable.order, [*selected, attached])
        await external.aclose()


async def test_files_of_all_sources_are_in_the_zip(platform: Platform) -> None:
    """All files are complete, and match the size and checksum in the catalog."""
    archive = await platform.download()

    assert archive.testzip() is None
    assert len(archive.namelist()) == len(platform.order.files) > 11
    assert set(platform.order.results.values()) == {FetchResult.DOWNLOADED}


@pytest.mark.parametrize(
    ("fault", "reason", "result"),
    [
        ("wrong_bytes", "Wrong content: MD5 is ", FetchResult.WRONG_CONTENT),
        (
            "truncated",
            "Cannot completely download data file from storage, only 50000/100000 bytes",
            FetchResult.FAILED,
        ),
        ("cut", "Cannot completely download data file from storage, only ", FetchResult.FAILED),
    ],
)
async def test_no_false_done_if_storage_sends_wrong_content(
    platform: Platform, fault: str, reason: str, result: FetchResult
) -> None:
    """If the content of one file is wrong, the notice names it and the others are DOWNLOADED."""
    bad = next(f for f in platform.order.files if not (f.external or f.stored_by_dam))
    setattr(platform.sandbox.faults, fault, {bad.checksum})

    archive = await platform.download()

    line = archive.read("NOTICE.txt").decode()
    assert line.startswith(f"Failed to download file ({bad.name}): {reason}")
    others = {i: r for i, r in platform.order.results.items() if r is not FetchResult.DOWNLOADED}
    assert others == {bad.id: result}


async def test_fact_12_quota_in_the_middle(platform: Platform) -> None:
    """Files within the quota are downloaded. The notice has the reason for each other (domain.md 11.5)."""
    platform.sandbox.faults.quotas = {OWNER: Quota(max_files=4)}

    archive = await platform.download()

    results = list(platform.order.results.values())
    assert results.count(FetchResult.QUOTA_EXCEEDED) == 6
    text = archive.read("NOTICE.txt").decode()
    assert text.count(f"Download quota of 4 exceeded (by 1) for user {OWNER}.") == 6


async def test_an_order_is_downloaded_with_a_rate_limit_of_one(platform: Platform) -> None:
    """rs-storage allows one download at a time."""
    platform.sandbox.faults.quotas = {OWNER: Quota(max_rate=1)}

    await platform.download()

    assert set(platform.order.results.values()) == {FetchResult.DOWNLOADED}
