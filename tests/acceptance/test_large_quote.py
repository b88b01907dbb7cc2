"""A quote of a million files: an answer at once, and a bounded reading (faces.md 9, acceptance)."""

import time

from rs_order.sandbox.faults import Service
from rs_order.sandbox.synthetic import SyntheticDataset
from tests.acceptance.platform import running_platform
from tests.acceptance.shared_platform import new_user
from tests.support.polling import eventually
from tests.support.servers import FreshBroker

FILES = 1_000_000
SIZE = 2000
ATTEMPTS = 3
"""The machine of the tests may have other work."""
CALLS = 30
"""Of the catalog: the search, the label, and 20 pages of a thousand files."""


async def test_a_quote_of_a_million_files(broker: FreshBroker, database_url: str) -> None:
    """202 in less than a second. The quote reads 20,000 files, and an order would have its figures."""
    dataset = SyntheticDataset(name="MILLION", products=FILES, size=SIZE)
    async with (
        running_platform(broker, database_url, archive=None, synthetic=(dataset,)) as platform,
        platform.service(),
    ):
        calls = platform.sandbox.calls.counters
        seconds = []
        for _ in range(ATTEMPTS):
            jane, before = new_user(platform), calls[Service.CATALOG]
            async with platform.client(jane) as client:
                began = time.perf_counter()
                answer = await client.post("/orders/quote", json={"queries": ["dataset:MILLION"]})
                seconds.append(time.perf_counter() - began)
                name = answer.json()["id"]

                async def ready() -> bool:
                    found = await client.get(f"/orders/quotes/{name}")  # noqa: B023 - awaited within the round
                    return bool(found.json()["state"] == "ready")

                await eventually(ready, "the quote is ready", seconds=120)
                made = (await client.get(f"/orders/quotes/{name}")).json()

            assert answer.status_code == 202
            assert answer.headers["Location"].endswith(f"/orders/quotes/{name}")
            assert calls[Service.CATALOG] - before <= CALLS
            assert (made["files"], made["bytes"]) == (FILES, FILES * SIZE)
            assert made["where"]["nearline"]["files"] == FILES
            assert made["subOrders"]["min"] <= 200 <= made["subOrders"]["max"]

    assert min(seconds) < 1
