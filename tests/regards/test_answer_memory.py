"""Responses are bounded, each and all together; texts that can't be stored spoil a file, not its page."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from rs_order.domain.ids import Tenant, Urn
from rs_order.domain.selection import SelectionRequest
from rs_order.ports import BadResponse
from rs_order.regards.answer_memory import AnswerMemory
from rs_order.regards.catalog import RegardsCatalog, RegardsDatasetFiles
from rs_order.regards.http import RemoteService, TokenIssuer, new_client
from tests.regards.conftest import JANE, KEY
from tests.regards.raw_server import RawServer, answer


@asynccontextmanager
async def answering(body: bytes) -> AsyncIterator[tuple[RegardsCatalog, RegardsDatasetFiles]]:
    """Yield the clients of a catalog and of an rs-dam that give this answer."""
    tokens = TokenIssuer(KEY)
    async with RawServer.running(answer("200 OK", body)) as server, new_client() as client:
        yield (
            RegardsCatalog(RemoteService("rs-catalog", server.url, client), tokens),
            RegardsDatasetFiles(RemoteService("rs-dam", server.url, client), tokens),
        )


async def search(catalog: RegardsCatalog, size: int) -> Any:
    everything = [SelectionRequest.of_query("*", datetime.now(UTC))]
    return await catalog.search(JANE, everything, page=0, size=size)


async def test_the_limit_of_a_page_grows_with_its_products() -> None:
    """The error names the service, the limit, and the setting to change."""
    page = b'{"content": []' + b" " * (2**20 + 20_000) + b"}"
    async with answering(page) as (catalog, _):
        assert await search(catalog, 2) is not None
        with pytest.raises(BadResponse) as error:
            await search(catalog, 1)

    assert str(error.value) == (
        "rs-catalog: /complex/search: the answer is longer than 1064960 bytes; lower RS_ORDER_BATCH_SIZE"
    )


@pytest.mark.parametrize("name", ["zero \0", "half \ud800"])
async def test_a_name_that_cannot_be_stored_makes_its_file_defective(name: str) -> None:
    """Not the page of the catalog, nor the dataset of rs-dam (F9e)."""
    feature = {"id": "URN:1", "files": {"RAWDATA": [{"checksum": "c", "filename": name}]}}
    page = {"content": [{"content": feature}]}
    body = json.dumps({**page, "feature": feature}).encode()
    async with answering(body) as (catalog, dam):
        await search(catalog, 1)
        dataset = await dam.attached_files(Tenant("demo"), Urn("URN:1"))

    assert dataset is not None
    (file,) = dataset.files
    assert "filename: " in (file.defect or "")


async def test_responses_wait_for_each_other_but_the_oldest_never_does() -> None:
    """A response that exceeds the sum continues when another ends; the oldest may exceed the sum."""
    memory = AnswerMemory(total=100)
    with memory.reservation() as second_oldest:
        with memory.reservation() as oldest:
            await oldest.grow(60)
            await second_oldest.grow(40)
            waiting = asyncio.create_task(second_oldest.grow(1))
            await asyncio.sleep(0)
            await oldest.grow(70)
            assert not waiting.done()
        await waiting

        cancelled = asyncio.create_task(_grow_in(memory, 100))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.wait({cancelled})
    with memory.reservation() as alone, memory.reservation() as other:
        await other.grow(50)
        await alone.grow(50)


async def _grow_in(memory: AnswerMemory, more: int) -> None:
    with memory.reservation() as reserved:
        await reserved.grow(more)
