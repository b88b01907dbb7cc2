"""The client of rs-storage for quotas and availability (remote-services.md 3.4, 3.6)."""

import aiohttp
import pytest

from rs_order.domain.ids import Checksum
from rs_order.ports import BadResponse, RemoteUnavailable
from rs_order.regards.http import RemoteService, TokenIssuer
from rs_order.regards.storage import RegardsStorage
from rs_order.sandbox.faults import Outage, OutageMode, Quota, Service
from rs_order.sandbox.simulated_platform import Sandbox
from tests.acceptance.shared_platform import md5_of
from tests.regards.conftest import JANE

ONLINE = Checksum(md5_of("observed-solar-cycle-indices-truncated.json"))
ON_TAPE = Checksum(md5_of("eve_01.txt"))


@pytest.fixture
def storage(sandbox: Sandbox, client: aiohttp.ClientSession, tokens: TokenIssuer) -> RegardsStorage:
    return RegardsStorage(RemoteService("rs-storage", sandbox.urls["STORAGE_URL"], client), tokens)


async def test_what_a_user_may_download(storage: RegardsStorage, sandbox: Sandbox) -> None:
    """None is any number. Storage is asked in the name of the user, with a role that may ask."""
    unlimited = await storage.downloads_left(JANE.tenant, JANE.email)
    sandbox.faults.quotas = {JANE.email: Quota(max_files=3)}
    limited = await storage.downloads_left(JANE.tenant, JANE.email)
    (call, _) = sandbox.calls.recent(Service.STORAGE)

    assert (unlimited, limited) == (None, 3)
    assert (call.email, call.role) == (JANE.email, "PROJECT_ADMIN")


async def test_which_files_are_at_hand(storage: RegardsStorage) -> None:
    unknown = Checksum("0" * 32)

    assert await storage.available(JANE.tenant, JANE.email, [ONLINE, ON_TAPE, unknown]) == {ONLINE}


@pytest.mark.parametrize(
    ("mode", "error"), [(OutageMode.DOWN, RemoteUnavailable), (OutageMode.GARBAGE, BadResponse)]
)
async def test_no_usable_answer(
    storage: RegardsStorage, sandbox: Sandbox, mode: OutageMode, error: type[Exception]
) -> None:
    sandbox.faults.outages = {Service.STORAGE: Outage(mode=mode)}

    with pytest.raises(error):
        await storage.downloads_left(JANE.tenant, JANE.email)
    with pytest.raises(error):
        await storage.available(JANE.tenant, JANE.email, [ONLINE])


async def test_a_storage_without_these_endpoints(storage: RegardsStorage, sandbox: Sandbox) -> None:
    """A later version may have them elsewhere."""
    outage = Outage(mode=OutageMode.STATUS, status=404)
    sandbox.faults.outages = {Service.STORAGE: outage}

    assert await storage.downloads_left(JANE.tenant, JANE.email) is None
    assert await storage.available(JANE.tenant, JANE.email, [ONLINE]) is None
