"""Measures a page of the files of a large order over HTTP, as the interface asks for it every 5 s.

    python -m tests.benchmarks.file_list [--files N] [--requests N]

The order is written by SQL. The latency is what a client sees, one request after the other.
"""

# ruff: noqa: T201 - a measurement prints its figures

import argparse
import asyncio
import statistics
import time

import httpx

from rs_order.domain.states import FileState, OrderStatus, SubOrderState
from tests.benchmarks.deployment import running_deployment
from tests.benchmarks.large_orders import OWNER, large_order

FILES_EACH = 5000
"""The number of files of a sub-order."""


async def measure(files: int, requests: int) -> None:
    async with running_deployment() as deployment:
        order = await large_order(
            deployment,
            OrderStatus.DONE,
            SubOrderState.WAITING,
            FileState.AVAILABLE,
            files=files,
            sub_orders=files // FILES_EACH,
        )
        task = await deployment.execute("select id from dataset_task")
        sub_order = await deployment.execute("select max(id) - 1 from sub_order")
        last = files // 20 - 1
        async with deployment.client(OWNER) as client:
            for what, path in {
                "files, first page": f"/orders/{order}/dataset/{task}/files?page=0&size=20",
                "files, 200 on a page": f"/orders/{order}/dataset/{task}/files?page=0&size=200",
                "files, last page": f"/orders/{order}/dataset/{task}/files?page={last}&size=20",
                "available files": f"/orders/{order}/files/available?page=0&size=100&sort=id,ASC",
                "of a sub-order": f"/orders/{order}/filesTask/{sub_order}/files/available",
                "own orders": "/user/orders?page=0&size=20",
            }.items():
                print(f"{what:>22}: {await _latencies(client, path, requests)}")
        print(f"resident: {deployment.highest_resident_mib():.0f} MiB at most")


async def _latencies(client: httpx.AsyncClient, path: str, requests: int) -> str:
    milliseconds = []
    for _ in range(requests + 10):
        began = time.perf_counter()
        answer = await client.get(path)
        milliseconds.append(1000 * (time.perf_counter() - began))
        answer.raise_for_status()
    measured = milliseconds[10:]  # the first ones open connections and prepare statements
    p99 = statistics.quantiles(measured, n=100)[98]
    return (
        f"p50 {statistics.median(measured):6.1f} ms  p99 {p99:6.1f} ms  max {max(measured):6.1f} ms"
        f"  ({len(answer.json()['content'])} of {answer.json()['metadata']['totalElements']:,})"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=500)
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.files, arguments.requests))
