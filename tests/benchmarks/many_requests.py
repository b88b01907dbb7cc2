"""Measures a burst of order requests: the time until all are granted, and until all are done.

python -m tests.benchmarks.many_requests [--requests N]
"""

# ruff: noqa: T201 - a measurement prints its figures

import argparse
import asyncio
import json
import time

from rs_order.sandbox.synthetic import SyntheticDataset
from tests.acceptance.peer import REQUESTS
from tests.benchmarks.deployment import running_deployment


async def measure(requests: int) -> None:
    dataset = SyntheticDataset(name="D", products=requests, location="online")
    async with running_deployment(dataset, max_storage_files_jobs_per_user=0) as deployment:
        began = time.monotonic()
        for number in range(requests):
            body = {
                "correlationId": f"burst-{number}",
                "user": "jane@example.org",
                "queries": [f'providerId:"SYN_D_{number + 1:07d}"'],
            }
            await deployment.peer.send(REQUESTS, json.dumps(body).encode())
        sent = time.monotonic()
        granted = await deployment.peer.until_count("GRANTED", requests, seconds=600)
        done = await deployment.peer.until_count("DONE", requests, seconds=600)
        print(
            f"{requests:,} requests sent in {sent - began:.1f} s\n"
            f"all granted {granted - began:.1f} s after the first was sent, "
            f"all done after {done - began:.1f} s ({requests / (done - began):,.0f} orders/s)\n"
            f"resident: {deployment.highest_resident_mib():.0f} MiB at most"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1000)
    asyncio.run(measure(parser.parse_args().requests))
