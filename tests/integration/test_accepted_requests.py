"""The inbox has the order requests of a batch in the order of their arrival."""

from rs_order.app.clock import SystemClock
from rs_order.contracts.order_messages import OrderRequest
from rs_order.requests.accept import AcceptRequests, ArrivedRequest
from rs_order.store.pool import Pool
from rs_order.store.unit_of_work import Store
from tests.integration.conftest import TENANT
from tests.support.rows import OWNER, in_tenant


def arrived(correlation_id: str) -> ArrivedRequest:
    body = {"correlationId": correlation_id, "queries": ["*"], "user": OWNER}
    return ArrivedRequest(OrderRequest.model_validate(body))


async def test_requests_that_arrive_together_are_recorded_once_and_in_their_order(
    store: Store, pool: Pool
) -> None:
    """They are granted in the order of their ids, so who came first is answered first."""
    batch = [arrived(correlation_id) for correlation_id in ("c-3", "c-1", "c-3", "c-2")]

    await AcceptRequests(store, SystemClock()).handle(TENANT, batch)

    async with in_tenant(pool, TENANT) as connection:
        rows = await connection.fetch("select correlation_id, body from order_request order by id")
    assert [row["correlation_id"] for row in rows] == ["c-3", "c-1", "c-2"]
    assert rows[0]["body"] == batch[0].request.to_wire()
