"""The clients of rs-catalog and rs-dam (remote-services.md 2)."""

from datetime import UTC, datetime, timedelta

import pytest

from rs_order.domain.files import DataType
from rs_order.domain.ids import Urn
from rs_order.domain.selection import SelectionRequest
from rs_order.ports import BadResponse, RemoteRejection, RemoteUnavailable
from rs_order.regards.catalog import RegardsCatalog, RegardsDatasetFiles
from rs_order.sandbox.faults import Outage, OutageMode, Service
from rs_order.sandbox.simulated_platform import Sandbox
from rs_order.sandbox.synthetic import SyntheticDataset
from tests.regards.conftest import ADMIN, DEMO, JANE

NOW = datetime.now(UTC)
EVERYTHING = [SelectionRequest.of_query("*", NOW)]
EIT = Urn("URN:AIP:DATASET:demo:c0438116-7605-5612-9805-0dd6060ebac4:V1")
UNKNOWN = Urn("URN:AIP:DATASET:demo:00000000-0000-0000-0000-000000000000:V1")


async def test_summary_has_the_totals_of_a_search(catalog: RegardsCatalog) -> None:
    """For each dataset it has the files of each type, and of these the external ones."""
    request = SelectionRequest("legacy", NOW, dataset_urn=EIT, search_parameters={"q": ["*"]})

    summary = await catalog.summarize(ADMIN, [request])

    (eit,) = summary.datasets
    raw_data = eit.types[DataType.RAWDATA]
    assert (eit.urn, eit.products, eit.files, eit.bytes) == (EIT, 2, 2, 2 * 141120)
    assert (raw_data.files, raw_data.bytes, raw_data.external_files) == (2, 2 * 141120, 0)
    assert set(DataType) == set(eit.types)


async def test_missing_summary_keys_count_as_zero(
    catalog: RegardsCatalog, sandbox: Sandbox
) -> None:
    """A catalog may leave out the ``_ref`` keys (remote-services.md 2.2)."""
    whole = await catalog.summarize(ADMIN, EVERYTHING)
    sandbox.faults.missing_ref_keys = True

    summary = await catalog.summarize(ADMIN, EVERYTHING)

    assert whole.files == summary.files
    assert any(t.external_files for d in whole.datasets for t in d.types.values())
    assert not any(t.external_files for d in summary.datasets for t in d.types.values())


async def test_pages_hold_every_product_once(catalog: RegardsCatalog) -> None:
    """Pages follow each other without gap or overlap, and end with an empty one."""
    total = (await catalog.summarize(ADMIN, EVERYTHING)).products
    seen: list[Urn] = []
    page = 0
    while (found := await catalog.search(ADMIN, EVERYTHING, page=page, size=3)).products:
        assert found.total == total
        seen += [product.urn for product in found.products]
        page += 1

    assert total == len(seen) == len(set(seen))


async def test_search_reads_products_and_their_orderable_files(catalog: RegardsCatalog) -> None:
    """A file has all members that an order needs."""
    request = SelectionRequest.of_query('providerId:"EIT_20040301T000010"', NOW)

    (product,) = (await catalog.search(ADMIN, [request], page=0, size=10)).products

    (file,) = product.files
    assert (product.provider_id, product.version) == ("EIT_20040301T000010", 1)
    assert (file.data_type, file.name) == (DataType.RAWDATA, "efz20040301.000010_s.fits")
    assert (file.size, file.checksum) == (141120, "bdacea8567cded6badba4b19f68f52db")
    assert (file.checksum_algorithm, file.mime_type) == ("MD5", "application/fits")
    assert not file.external
    assert not file.online
    assert not file.stored_by_dam


async def test_stored_file_without_size_is_kept(catalog: RegardsCatalog, sandbox: Sandbox) -> None:
    """It can be ordered like any other file (decisions.md), with an unknown size."""
    sandbox.faults.without_filesize = {"bdacea8567cded6badba4b19f68f52db"}
    request = SelectionRequest.of_query('providerId:"EIT_20040301T000010"', NOW)

    (product,) = (await catalog.search(ADMIN, [request], page=0, size=10)).products

    assert [file.size for file in product.files] == [None]


async def test_selection_date_hides_later_products(
    catalog: RegardsCatalog, sandbox: Sandbox
) -> None:
    """The search is limited to the time of the selection."""
    await sandbox.add_dataset(SyntheticDataset(name="later", products=3, created=NOW))

    before = SelectionRequest.of_query("dataset:later", NOW)
    after = SelectionRequest.of_query("dataset:later", NOW + timedelta(seconds=1))

    assert (
        (await catalog.summarize(ADMIN, [before])).products,
        (await catalog.summarize(ADMIN, [after])).products,
    ) == (0, 3)


async def test_includes_and_excludes_reach_the_catalog(catalog: RegardsCatalog) -> None:
    """The catalog searches only the single products of a selection."""
    page = await catalog.search(ADMIN, EVERYTHING, page=0, size=3)
    first, second, _ = (product.urn for product in page.products)
    request = SelectionRequest(
        "legacy", NOW, search_parameters={"q": [""]}, include=(first, second), exclude=(second,)
    )

    found = await catalog.search(ADMIN, [request], page=0, size=10)

    assert [first] == [product.urn for product in found.products]


async def test_searches_are_made_for_the_caller(catalog: RegardsCatalog, sandbox: Sandbox) -> None:
    """The token has the user and their role (remote-services.md 1.5)."""
    await catalog.search(JANE, EVERYTHING, page=0, size=1)

    (call,) = sandbox.calls.recent("rs-catalog")
    assert (call.tenant, call.email, call.role) == ("demo", "jane@example.org", "REGISTERED_USER")


@pytest.mark.parametrize("count", [0, 101])
async def test_a_search_with_too_many_or_no_selection_requests_is_rejected(
    catalog: RegardsCatalog, sandbox: Sandbox, count: int
) -> None:
    """A search has 1 to 100 selection requests; another is not sent (remote-services.md 2.1)."""
    with pytest.raises(RemoteRejection, match=f"1 to 100 selection requests, not {count}"):
        await catalog.summarize(JANE, EVERYTHING * count)

    assert not sandbox.calls.recent("rs-catalog")


async def test_bad_query_is_a_rejection(catalog: RegardsCatalog) -> None:
    """It has the status and the message of the catalog."""
    with pytest.raises(RemoteRejection, match="nosuchfield") as rejected:
        await catalog.search(
            JANE, [SelectionRequest.of_query("nosuchfield:1", NOW)], page=0, size=1
        )

    assert rejected.value.status == 400


async def test_search_answered_404_is_a_rejection(
    catalog: RegardsCatalog, sandbox: Sandbox
) -> None:
    """It doesn't mean that nothing was found (remote-services.md 2.3)."""
    sandbox.faults.outages = {Service.CATALOG: Outage(mode=OutageMode.STATUS, status=404)}

    with pytest.raises(RemoteRejection) as rejected:
        await catalog.search(JANE, EVERYTHING, page=0, size=1)

    assert rejected.value.status == 404


@pytest.mark.parametrize(
    ("outage", "error"),
    [
        (Outage(mode=OutageMode.DOWN), RemoteUnavailable),
        (Outage(mode=OutageMode.SLOW, seconds=5), RemoteUnavailable),
        (Outage(mode=OutageMode.STATUS, status=500), RemoteUnavailable),
        (Outage(mode=OutageMode.STATUS, status=503), RemoteUnavailable),
        (Outage(mode=OutageMode.STATUS, status=408), RemoteUnavailable),
        (Outage(mode=OutageMode.STATUS, status=425), RemoteUnavailable),
        (Outage(mode=OutageMode.STATUS, status=429), RemoteUnavailable),
        (Outage(mode=OutageMode.STATUS, status=400), RemoteRejection),
        (Outage(mode=OutageMode.STATUS, status=403), RemoteRejection),
        (Outage(mode=OutageMode.NONSENSE), BadResponse),
        (Outage(mode=OutageMode.GARBAGE), BadResponse),
        (Outage(mode=OutageMode.EMPTY), BadResponse),
    ],
    ids=lambda value: f"{value.mode}-{value.status}" if isinstance(value, Outage) else None,
)
async def test_an_unavailable_catalog_is_distinguished_from_a_rejection(
    catalog: RegardsCatalog, sandbox: Sandbox, outage: Outage, error: type[Exception]
) -> None:
    """Only a rejection is final; everything else may be tried again (decisions.md, AMQP)."""
    for call in (
        lambda: catalog.search(JANE, EVERYTHING, page=0, size=1),
        lambda: catalog.summarize(JANE, EVERYTHING),
    ):
        sandbox.faults.outages = {Service.CATALOG: outage}

        with pytest.raises(error) as raised:
            await call()

        assert error is type(raised.value)


async def test_label_of_a_dataset(catalog: RegardsCatalog) -> None:
    """An unknown dataset has no label."""
    assert await catalog.dataset_label(JANE, EIT) == "SOHO EIT full-disk images"
    assert None is await catalog.dataset_label(JANE, UNKNOWN)


async def test_answers_without_a_label(catalog: RegardsCatalog, sandbox: Sandbox) -> None:
    """An empty answer means that there is no label; an answer of the wrong shape is an error."""
    sandbox.faults.outages = {Service.CATALOG: Outage(mode=OutageMode.EMPTY)}
    assert None is await catalog.dataset_label(JANE, EIT)

    sandbox.faults.outages = {Service.CATALOG: Outage(mode=OutageMode.GARBAGE)}
    with pytest.raises(BadResponse):
        await catalog.dataset_label(JANE, EIT)


async def test_files_attached_to_a_dataset(
    dataset_files: RegardsDatasetFiles, sandbox: Sandbox
) -> None:
    """The service reads them from the raw entity of rs-dam under its own identity."""
    product = await dataset_files.attached_files(DEMO, EIT)

    assert product is not None
    (file,) = product.files
    assert (product.urn, file.name) == (EIT, "efz20040301.000010_s.header")
    assert file.stored_by_dam
    (call,) = sandbox.calls.recent("rs-dam")
    assert (call.email, call.role) == ("rs-order", "ROLE_SYS_rs-order")


async def test_dataset_that_dam_does_not_know(dataset_files: RegardsDatasetFiles) -> None:
    """It has no attached files, and the order continues (remote-services.md 2.9)."""
    assert None is await dataset_files.attached_files(DEMO, UNKNOWN)


async def test_dam_that_answers_garbage(
    dataset_files: RegardsDatasetFiles, sandbox: Sandbox
) -> None:
    """JSON without a feature doesn't mean that a dataset has no files."""
    sandbox.faults.outages = {Service.DAM: Outage(mode=OutageMode.GARBAGE)}

    with pytest.raises(BadResponse):
        await dataset_files.attached_files(DEMO, EIT)
