"""The requests of ``ingest``, and the handler of its floor written with FastStream and asyncpg.

The peer is written as the documentation of FastStream teaches it, see ``faststream_consumer.py``.
"""

from functools import partial

from tests.benchmarks.ingest import REQUESTS, Ingest, ratios_of
from tests.benchmarks.report import Figure, Report, Target
from tests.benchmarks.rounds import interleaved, rounds_of
from tests.benchmarks.servers import benchmark_servers

PEER = "tests.benchmarks.faststream_consumer"


async def measure(quick: bool, requests: int = REQUESTS) -> Report:
    async with benchmark_servers() as servers:
        ingest = Ingest.sized(servers, quick=quick, requests=requests)
        rates = await interleaved(
            rounds_of(quick),
            {"service": ingest.service, "peer": partial(ingest.consumer, PEER)},
        )
    ratio = Figure("service / peer", "", ratios_of(rates["service"], rates["peer"]))
    return Report(
        figures=[
            Figure("service", "requests/s", rates["service"]),
            Figure("peer", "requests/s", rates["peer"]),
            ratio,
        ],
        targets=[Target(ratio.name, ratio.median, 1.5, at_least=True)],
        notes=ingest.notes(),
    )
