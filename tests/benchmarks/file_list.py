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

from tests.benchmarks.deployment import Deployment, deployment

OWNER = "jane@example.org"
_ORDER = """
insert into orders (owner, role, label, correlation_id, status, sub_order_hours, sub_orders,
    available_files, available_bytes)
values ('{owner}', 'REGISTERED_USER', 'large', 'large', 'DONE', 2, {files} / 5000 + 1, {files},
    {files} * 1000::bigint)
"""
_TASK = """
insert into dataset_task (order_id, dataset_urn, dataset_label, products_count, files_count, files_bytes)
select id, 'URN:AIP:DATASET:project1:1:V1', 'large', {files}, {files}, {files} * 1000::bigint from orders
"""
_SUB_ORDERS = """
insert into sub_order (order_id, dataset_task_id, owner, kind, state, available_files, available_bytes)
select order_id, dataset_task.id, '{owner}', 'STORAGE', 'WAITING', 5000, 5000000
from dataset_task, generate_series(0, {files} / 5000)
"""
_FILES = """
insert into data_file (order_id, sub_order_id, dataset_task_id, identity, product_urn, product_id,
    product_version, data_type, name, url, external, online, size, checksum, checksum_algorithm, mime_type,
    state)
select dataset_task.order_id, sub_orders.first + n / 5000, dataset_task.id, gen_random_uuid(),
    'URN:AIP:DATA:project1:' || n || ':V1', 'PRODUCT_' || n, 1, 'RAWDATA', 'file_' || n || '.nc',
    'https://archive.example.org/files/' || n, false, false, 1000, md5(n::text), 'MD5',
    'application/x-netcdf', 'AVAILABLE'
from dataset_task, (select min(id) as first from sub_order) sub_orders, generate_series(1, {files}) n
"""


async def measure(files: int, requests: int) -> None:
    async with deployment() as here:
        task = await _fill(here, files)
        order = await here.execute("select id from orders")
        sub_order = await here.execute("select max(id) - 1 from sub_order")
        last = files // 20 - 1
        async with here.client(OWNER) as client:
            for what, path in {
                "files, first page": f"/orders/{order}/dataset/{task}/files?page=0&size=20",
                "files, 200 on a page": f"/orders/{order}/dataset/{task}/files?page=0&size=200",
                "files, last page": f"/orders/{order}/dataset/{task}/files?page={last}&size=20",
                "available files": f"/orders/{order}/files/available?page=0&size=100&sort=id,ASC",
                "of a sub-order": f"/orders/{order}/filesTask/{sub_order}/files/available",
                "own orders": "/user/orders?page=0&size=20",
            }.items():
                print(f"{what:>22}: {await _latencies(client, path, requests)}")
        print(f"resident: {here.highest_resident_mib():.0f} MiB at most")


async def _fill(here: Deployment, files: int) -> int:
    statements = (_ORDER, _TASK, _SUB_ORDERS, _FILES)
    task: int = await here.execute(
        *(statement.format(owner=OWNER, files=files) for statement in statements),
        "vacuum analyze",
        "select id from dataset_task",
    )
    return task


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
