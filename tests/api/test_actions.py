"""Actions on orders over HTTP (rest.md 7.6, the rows of chapter 14, domain.md 20)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from rs_order.sandbox.faults import Outage, OutageMode, Service
from rs_order.sandbox.user_directory import User
from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import EVE_01, md5_of, new_user, state_of, until_rows
from tests.support.history import HISTORY, unexplained_moves
from tests.support.polling import eventually

ALL_OF_EVE = (
    "productId:(EVE_01 OR EVE_02 OR EVE_03 OR EVE_04 OR EVE_05)",
    "productId:EVE_ESP_2011046",
)
"""Seven nearline files of one dataset."""
EXTERNAL = "productId:SRS_19960106"
"""One external file."""


@pytest.fixture(autouse=True)
async def _explained_history(here: Platform) -> AsyncIterator[None]:
    """After each test the history contains only moves of the tables in docs/states.md."""
    yield
    assert unexplained_moves(await here.rows(HISTORY)) == []


def administrator(here: Platform, role: str = "ADMIN") -> str:
    """Add a user whom rs-admin knows as an administrator and return their e-mail address."""
    user = User(email=f"{uuid4().hex[:12]}@example.org", role=role)
    here.sandbox.directory.put(user)
    return user.email


async def act(
    here: Platform, verb: str, path: str, email: str, role: str = "REGISTERED_USER", **options: Any
) -> httpx.Response:
    async with here.client(email, role) as client:
        return await client.request(verb, path, **options)


async def pause(here: Platform, order: int, email: str, role: str = "REGISTERED_USER") -> Any:
    return await act(here, "PUT", f"/user/orders/pause/{order}", email, role)


async def resume(here: Platform, order: int, email: str) -> Any:
    return await act(here, "PUT", f"/user/orders/resume/{order}", email)


async def retry(here: Platform, order: int, email: str) -> Any:
    return await act(here, "PUT", f"/user/orders/{order}/retry", email)


def refused(answer: httpx.Response) -> tuple[int, list[str]]:
    return answer.status_code, answer.json()["messages"]


async def silent_order(here: Platform, user: str) -> tuple[str, int]:
    """Place an order that waits for storage and return its correlation id and number."""
    here.sandbox.faults.silence = True
    correlation_id = await here.peer.order(EVE_01, user=user)
    granted = await here.peer.until(correlation_id, "GRANTED")
    await here.sandbox.restores.wait_for_pending(1)
    return correlation_id, granted.body["orderId"]


async def done_order(here: Platform, user: str, *queries: str) -> int:
    final = await here.peer.until_final(await here.peer.order(*(queries or (EVE_01,)), user=user))
    return int(final.body["orderId"])


async def test_fact_5_an_order_is_paused_and_resumed_while_storage_is_silent(
    here: Platform,
) -> None:
    """Fact 5: another user is rejected, an administrator accepted; the resumed order becomes DONE.

    rest.md 14, pause / resume / delete / remove.
    """
    jane, john, alan = new_user(here), new_user(here), administrator(here)
    correlation_id, order = await silent_order(here, jane)

    assert refused(await pause(here, order, john)) == (401, ["USER_NOT_ALLOWED_TO_MANAGE_ORDER"])
    assert await state_of(here, order) == "RUNNING"

    paused = await pause(here, order, alan)

    assert (paused.status_code, paused.content) == (200, b"")
    assert await state_of(here, order) == "PAUSED"
    assert refused(await pause(here, order, jane)) == (401, ["ORDER_MUST_BE_PENDING_OR_RUNNING"])

    resumed = await resume(here, order, jane)

    assert (resumed.status_code, resumed.content) == (200, b"")

    await here.sandbox.restores.wait_for_requests(2)
    here.sandbox.faults.silence = False
    here.sandbox.restores.release()
    await here.peer.until_final(correlation_id)

    assert here.peer.statuses(correlation_id) == ["GRANTED", "SUBORDER_DONE", "DONE"]


async def test_fact_5_files_that_arrive_during_a_pause_finish_the_order(here: Platform) -> None:
    """Fact 5: the order needs no resume (K4)."""
    jane = new_user(here)
    correlation_id, order = await silent_order(here, jane)
    await pause(here, order, jane)
    here.sandbox.restores.release()
    final = await here.peer.until_final(correlation_id)

    assert final.status == "DONE"
    assert refused(await resume(here, order, jane)) == (401, ["ORDER_MUST_BE_PAUSED"])


@pytest.mark.parametrize("role", ["PROJECT_ADMIN", "INSTANCE_ADMIN"])
async def test_fact_6_an_order_is_paused_deleted_and_removed(role: str, here: Platform) -> None:
    """Fact 6: an administrator does it. Order and basket are deleted, the history stays.

    rest.md 14, pause / resume / delete / remove.
    """
    jane, chief = new_user(here), administrator(here, role)
    _, order = await silent_order(here, jane)
    for verb, path in (
        ("PUT", f"/user/orders/pause/{order}"),
        ("DELETE", f"/user/orders/{order}"),
        ("DELETE", f"/user/orders/remove/{order}"),
    ):
        answer = await act(here, verb, path, chief, role)

        assert (answer.status_code, answer.content) == (200, b"")

    await until_rows(
        here,
        "select where not exists (select from orders where id = $1)"
        " and not exists (select from basket where order_id = $1)"
        " and not exists (select from sub_order where order_id = $1)"
        " and not exists (select from data_file where order_id = $1)",
        order,
    )
    lines = await here.rows(
        "select after, actor from history where order_id = $1 and sub_order_id is null"
        " order by id desc limit 3",
        order,
    )
    gone = await act(here, "DELETE", f"/user/orders/remove/{order}", chief, role)

    assert [tuple(line) for line in lines] == [
        ("REMOVED", chief),
        ("DELETED", chief),
        ("PAUSED", chief),
    ]
    assert refused(gone) == (404, [f"There is no order {order}"])


async def test_a_pending_order_can_only_be_paused(here: Platform) -> None:
    """Resume, delete, restart and retry are rejected with their codes and change nothing.

    rest.md 14, pause / resume / delete / remove.
    """
    jane = new_user(here)
    here.sandbox.faults.outages = {Service.DAM: Outage(mode=OutageMode.SLOW, seconds=3, calls=1)}
    granted = await here.peer.until(await here.peer.order(EVE_01, user=jane), "GRANTED")
    order = granted.body["orderId"]

    assert await state_of(here, order) == "PENDING"
    assert refused(await resume(here, order, jane)) == (401, ["ORDER_MUST_BE_PAUSED"])
    assert refused(await act(here, "DELETE", f"/user/orders/{order}", jane)) == (
        401,
        ["ORDER_MUST_BE_DONE_OR_DONE_WITH_WARNING_OR_PAUSED_OR_FAILED_OR_EXPIRED"],
    )
    restarted = await act(here, "POST", f"/user/orders/{order}/restart", jane, json={})

    assert refused(restarted) == (401, ["ORDER_MUST_BE_DONE_OR_DONE_WITH_WARNING_OR_FAILED"])
    assert refused(await retry(here, order, jane)) == (
        401,
        ["ORDER_MUST_BE_DONE_WITH_WARNING_OR_FAILED"],
    )
    assert (await pause(here, order, jane)).status_code == 200
    assert await state_of(here, order) == "PAUSED"


async def test_w9_a_pending_order_that_is_paused_stays_paused_when_its_page_arrives(
    here: Platform,
) -> None:
    """The page is processed again when the order is resumed."""
    jane = new_user(here)
    here.sandbox.faults.outages = {Service.DAM: Outage(mode=OutageMode.SLOW, seconds=3, calls=1)}
    correlation_id = await here.peer.order(EVE_01, user=jane)
    order = (await here.peer.until(correlation_id, "GRANTED")).body["orderId"]
    await here.sandbox.calls.wait_for(Service.DAM, 1)
    await pause(here, order, jane)
    (call,) = here.sandbox.calls.recent(Service.DAM)
    await eventually(lambda: call.status is not None, "rs-dam's slow answer")
    await here.peer.until_final(await here.peer.order(EVE_01, user=new_user(here)))

    assert await state_of(here, order) == "PAUSED"

    await resume(here, order, jane)

    assert (await here.peer.until_final(correlation_id)).status == "DONE"


async def test_removing_is_for_administrators_and_deleted_orders(here: Platform) -> None:
    """First the role of the endpoint (403), then the status (decisions.md, `remove`).

    rest.md 14, pause / resume / delete / remove.
    """
    jane, alan = new_user(here), administrator(here)
    order = await done_order(here, jane)
    path = f"/user/orders/remove/{order}"

    assert refused(await act(here, "DELETE", path, jane)) == (403, ["Access is denied"])
    assert refused(await act(here, "DELETE", path, alan, "ADMIN")) == (403, ["Access is denied"])
    assert refused(await act(here, "DELETE", path, jane, "PROJECT_ADMIN")) == (
        401,
        ["ORDER_MUST_BE_DELETED"],
    )


async def test_a_deleted_order_can_still_be_seen_but_not_downloaded(here: Platform) -> None:
    """Its files are deleted, and a second deletion is rejected."""
    jane = new_user(here)
    order = await done_order(here, jane)
    deleted = await act(here, "DELETE", f"/user/orders/{order}", jane)
    again = await act(here, "DELETE", f"/user/orders/{order}", jane)

    assert (deleted.status_code, deleted.content) == (200, b"")
    assert again.status_code == 401
    assert await state_of(here, order) == "DELETED"
    assert (await here.download(order, email=jane)).status_code == 204


async def test_fact_7_a_finished_order_is_restarted_from_a_copy_of_its_basket(
    here: Platform,
) -> None:
    """Fact 7: 201 with the new order, which has the same owner even if an administrator restarts it."""
    jane, alan = new_user(here), administrator(here)
    old = await done_order(here, jane)
    body = {"label": "once more", "onSuccessUrl": "/user/demo"}
    answer = await act(
        here, "POST", f"/user/orders/{old}/restart", alan, "PROJECT_ADMIN", json=body
    )

    assert answer.status_code == 201

    content, links = answer.json()["content"], answer.json()["links"]
    new = content["id"]

    assert new != old
    assert content["owner"] == jane
    assert content["label"] == "once more"
    assert content["status"] == "PENDING"
    assert content["percentCompleted"] == 0
    assert content["datasetTasks"] == []
    assert "expirationDate" not in content
    assert [link["rel"] for link in links] == ["self", "list", "pause"]

    await until_rows(here, "select from orders where id = $1 and status = 'DONE'", new)
    (row,) = await here.rows(
        "select correlation_id, role, front_url from orders where id = $1", new
    )
    final = await here.peer.until_final(row["correlation_id"])

    assert final.body["orderId"] == new
    assert (row["role"], row["front_url"]) == ("REGISTERED_USER", "/user/demo")
    assert await state_of(here, old) == "DONE"
    assert len(await here.rows("select from basket where order_id = any ($1)", [old, new])) == 2


async def test_labels_of_restarted_orders_are_validated(here: Platform) -> None:
    """A bad label is 422 with the code the interface reads; an empty body counts as no body."""
    jane = new_user(here)
    order = await done_order(here, jane)
    path = f"/user/orders/{order}/restart"

    async def restart(**body: Any) -> httpx.Response:
        return await act(here, "POST", path, jane, **body)

    generated = await restart(json={})

    assert generated.status_code == 201
    assert generated.json()["content"]["label"].startswith("Order of 2")
    assert (await restart(json={"label": "mine"})).status_code == 201
    assert refused(await restart(json={"label": "mine"})) == (422, ["LABEL_NOT_UNIQUE_FOR_OWNER"])
    assert refused(await restart(json={"label": "x" * 51})) == (
        422,
        ["TOO_MANY_CHARACTERS_IN_LABEL"],
    )
    assert (await restart(content=b"")).status_code == 400
    assert (await restart(json={"label": "a\0b"})).status_code == 400
    assert (await restart(json=["label"])).status_code == 400


async def test_two_restarts_with_one_label_at_once_make_one_order(here: Platform) -> None:
    """A constraint of the database decides; the second caller gets the error of a label in use."""
    jane = new_user(here)
    orders = [await done_order(here, jane) for _ in range(2)]
    answers = await asyncio.gather(
        *(
            act(here, "POST", f"/user/orders/{order}/restart", jane, json={"label": "mine"})
            for order in orders
            for _ in range(2)
        )
    )

    assert sorted(answer.status_code for answer in answers) == [201, 422, 422, 422]


async def test_w18_two_of_seven_files_fail_and_are_retried(here: Platform) -> None:
    """Only these two are requested again. The order becomes DONE; a second retry is rejected."""
    jane = new_user(here)
    broken = [md5_of("eve_02.txt"), md5_of("eve_04.txt")]
    here.sandbox.faults.storage_errors = dict.fromkeys(broken, "tape is broken")
    correlation_id = await here.peer.order(*ALL_OF_EVE, user=jane)
    first = await here.peer.until_final(correlation_id)
    order = first.body["orderId"]

    assert (first.status, first.body["errors"]) == ("FAILED", 2)
    assert await state_of(here, order) == "DONE_WITH_WARNING"

    here.sandbox.faults.storage_errors = {}
    here.sandbox.faults.silence = True
    asked = here.sandbox.restores.requested
    retried = await retry(here, order, jane)

    assert (retried.status_code, retried.content) == (200, b"")
    assert refused(await retry(here, order, jane)) == (
        401,
        ["ORDER_MUST_BE_DONE_WITH_WARNING_OR_FAILED"],
    )

    await here.sandbox.restores.wait_for_requests(asked + 1)
    here.sandbox.faults.silence = False
    here.sandbox.restores.release()
    done = await here.peer.until(correlation_id, "DONE")

    assert sorted(here.sandbox.restores.requests[-1].checksums) == sorted(broken)
    assert done.body["totalSubOrders"] == 2
    assert "errors" not in done.body
    assert here.peer.statuses(correlation_id) == [
        "GRANTED",
        "SUBORDER_DONE",
        "FAILED",
        "SUBORDER_DONE",
        "DONE",
    ]
    assert len(await here.rows("select from data_file where order_id = $1", order)) == 7


async def test_w18_an_external_file_that_could_not_be_downloaded_is_available_again(
    here: Platform,
) -> None:
    """DOWNLOAD_ERROR becomes AVAILABLE without a request to storage, and the next download works."""
    jane = new_user(here)
    order = await done_order(here, jane, EXTERNAL)
    here.sandbox.faults.outages = {Service.EXTERNAL: Outage(mode=OutageMode.STATUS, status=404)}
    await here.download(order, email=jane)
    await until_rows(
        here, "select from orders where id = $1 and status = 'DONE_WITH_WARNING'", order
    )
    here.sandbox.faults.outages = {}

    assert (await retry(here, order, jane)).status_code == 200

    await until_rows(here, "select from orders where id = $1 and status = 'DONE'", order)
    again = await here.download(order, email=jane)

    assert again.status_code == 200
    await until_rows(
        here, "select from data_file where order_id = $1 and state = 'DOWNLOADED'", order
    )


@pytest.mark.parametrize(
    ("verb", "template", "role"),
    [
        ("PUT", "/user/orders/pause/{}", "REGISTERED_USER"),
        ("PUT", "/user/orders/resume/{}", "REGISTERED_USER"),
        ("DELETE", "/user/orders/{}", "REGISTERED_USER"),
        ("DELETE", "/user/orders/remove/{}", "PROJECT_ADMIN"),
        ("POST", "/user/orders/{}/restart", "REGISTERED_USER"),
        ("PUT", "/user/orders/{}/retry", "REGISTERED_USER"),
    ],
)
async def test_an_unknown_order_is_not_found(
    verb: str, template: str, role: str, here: Platform
) -> None:
    """404 with a body. An id that isn't a number is 400, a missing token 401."""
    options: dict[str, Any] = {"json": {}} if verb == "POST" else {}
    unknown = await act(here, verb, template.format(-12), new_user(here), role, **options)
    no_number = await act(here, verb, template.format("twelve"), new_user(here), role, **options)
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        stranger = await client.request(
            verb, f"http://127.0.0.1:{here.port}{template.format(1)}", **options
        )

    assert refused(unknown) == (404, ["There is no order -12"])
    assert no_number.status_code == 400
    assert no_number.json()["messages"]
    assert stranger.status_code == 401


async def test_an_order_of_another_project_can_not_be_managed(here: Platform) -> None:
    """Promise 7: even an administrator of the other project gets 404."""
    jane, chief = new_user(here), administrator(here, "PROJECT_ADMIN")
    _, order = await silent_order(here, jane)
    async with here.client(chief, "PROJECT_ADMIN", tenant="project2") as client:
        answer = await client.put(f"/user/orders/pause/{order}")

    assert answer.status_code == 404
    assert await state_of(here, order) == "RUNNING"


async def test_while_rs_admin_is_down_only_the_owner_can_act(here: Platform) -> None:
    """503 for callers that rs-admin must confirm. The owner's actions need no rs-admin."""
    jane, john = new_user(here), new_user(here)
    _, order = await silent_order(here, jane)
    here.sandbox.faults.outages = {Service.ADMIN: Outage(mode=OutageMode.STATUS, status=503)}

    assert refused(await pause(here, order, john)) == (
        503,
        ["rs-admin gave no answer; nothing was changed. Try again."],
    )
    assert await state_of(here, order) == "RUNNING"
    assert (await pause(here, order, jane)).status_code == 200
