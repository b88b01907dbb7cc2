"""The zip over the whole service: who may have it."""

from tests.acceptance.guests import EVE_01, guest
from tests.acceptance.platform import Platform


async def test_an_unserved_project_is_not_found(here: Platform) -> None:
    """A good token of a project that isn't served here opens nothing, and says so."""
    async with here.client("jane@example.org", tenant="elsewhere") as client:
        answer = await client.get("/user/orders/1/download")

    assert answer.status_code == 404
    assert answer.json() == {"messages": ["There is no project elsewhere here"]}


async def test_an_order_of_another_project_is_not_found(here: Platform) -> None:
    """The same number in another project is another order, or none."""
    jane = guest(here)
    done = await here.peer.until_final(await here.peer.order(EVE_01, user=jane))

    async with here.client(jane, tenant="project2") as client:
        answer = await client.get(f"/user/orders/{done.body['orderId']}/download")

    assert answer.status_code == 404
