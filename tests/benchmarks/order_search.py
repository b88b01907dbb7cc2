"""Measures searches of administrators among many orders, and the CSV of all orders.

    python -m tests.benchmarks.order_search [--orders N] [--requests N]

The orders are written by SQL, two dataset tasks each. The memory is that of the service alone; the client
of the CSV takes it as fast as it comes.
"""

# ruff: noqa: T201 - a measurement prints its figures

import argparse
import asyncio
import statistics
import time
from typing import Any

import httpx

from tests.benchmarks.deployment import Deployment, running_deployment

_ORDERS = """
insert into orders (owner, role, label, correlation_id, status, sub_order_hours, created_at, status_at,
    available_files, available_bytes)
select 'user' || n % 500 || '@example.org', 'REGISTERED_USER', 'label ' || n, 'c-' || n,
    case when n % 10 = 0 then 'DELETED' when n % 3 = 0 then 'RUNNING' else 'DONE' end, 2,
    now() - n * interval '1 minute', now() - n * interval '1 minute', n % 7, 1000 * (n % 7)
from generate_series(1, {orders}) n
"""
_TASKS = """
insert into dataset_task (order_id, dataset_urn, dataset_label, products_count, files_count, files_bytes)
select id, 'URN:' || n, 'label ' || n, 7, 7, 7000 from orders, generate_series(1, 2) n
"""
_SEARCHES: dict[str, tuple[str, dict[str, Any]]] = {
    "everything": ("", {}),
    "one owner": ("", {"owner": "user77@"}),
    "an unknown owner": ("", {"owner": "nobody"}),
    "by status": ("", {"statuses": {"values": ["DONE"], "mode": "INCLUDE"}}),
    "by percent": ("?sort=percentCompleted,desc", {}),
}


async def measure(orders: int, requests: int) -> None:
    async with running_deployment() as deployment:
        await deployment.execute(
            _ORDERS.format(orders=orders), _TASKS, "vacuum analyze", "select count(*) from orders"
        )
        async with deployment.client("erin@example.org", "EXPLOIT") as client:
            for what, (query, body) in _SEARCHES.items():
                print(f"{what:>18}: {await _latencies(client, query, body, requests)}")
            print(await _csv(deployment, client))


async def _latencies(
    client: httpx.AsyncClient, query: str, body: dict[str, Any], requests: int
) -> str:
    milliseconds = []
    for _ in range(requests + 5):
        began = time.perf_counter()
        answer = await client.post(f"/orders/search{query}", json=body)
        milliseconds.append(1000 * (time.perf_counter() - began))
        answer.raise_for_status()
    measured = milliseconds[5:]  # the first ones open connections and prepare statements
    p99 = statistics.quantiles(measured, n=100)[98]
    total = answer.json()["metadata"]["totalElements"]
    return f"p50 {statistics.median(measured):6.1f} ms  p99 {p99:6.1f} ms  ({total:,} found)"


async def _csv(deployment: Deployment, client: httpx.AsyncClient) -> str:
    idle, began, first, lines, size = deployment.resident_mib(), time.perf_counter(), 0.0, 0, 0
    async with client.stream("POST", "/orders/csv", json={}) as answer:
        answer.raise_for_status()
        async for chunk in answer.aiter_raw():
            first = first or time.perf_counter() - began
            lines += chunk.count(b"\n")
            size += len(chunk)
    seconds = time.perf_counter() - began
    return (
        f"CSV: {lines - 1:,} orders, {size / 2**20:.1f} MiB in {seconds:.1f} s "
        f"({lines / seconds:,.0f} orders/s), the first after {first:.2f} s\n"
        f"resident: {idle:.0f} MiB before, {deployment.highest_resident_mib():.0f} MiB at most"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=100)
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.orders, arguments.requests))
