"""The requests of ``ingest``, and the handler of its floor written with FastStream and asyncpg.

The peer is written as the documentation of FastStream teaches it, see ``faststream_consumer.py``. Both
consume a queue with the same arguments. With the compatible one, which has 256 priorities, the broker is the
limit: it takes about a millisecond for each message, whoever consumes it.
"""

from tests.benchmarks import faststream_consumer
from tests.benchmarks.ingest import REQUESTS, compared
from tests.benchmarks.report import Report


async def measure(quick: bool, requests: int = REQUESTS) -> Report:
    peer = faststream_consumer.__name__
    return await compared("peer", peer, quick=quick, requests=requests, limit=1.5)
