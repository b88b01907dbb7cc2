"""A platform without a service; the tests of the promises start rs_order as processes."""

from collections.abc import AsyncIterator

import pytest

from rs_order.sandbox.faults import Faults
from rs_order.sandbox.synthetic import SyntheticDataset
from tests.acceptance.platform import Platform, running_platform
from tests.support.servers import FreshBroker

FILES = 30
PAGE = 10


@pytest.fixture
async def platform(platform_broker: FreshBroker, database_url: str) -> AsyncIterator[Platform]:
    """30 files in three pages of the catalog, nearline; three sub-orders of 10 files at most."""
    async with running_platform(
        platform_broker,
        database_url,
        archive=None,
        synthetic=(SyntheticDataset(name="DS", products=FILES, size=100_000),),
        faults=Faults(nearline_seconds=0.05),
        batch_size=PAGE,
        files_bucket_size_mb=0.95,
        max_storage_files_jobs_per_user=0,
    ) as ready:
        yield ready
