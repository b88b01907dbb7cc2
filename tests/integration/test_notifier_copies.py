"""Copies for rs-notifier directly follow their messages, in one commit and stream (amqp.md 1.13, 3.4)."""

import json
from typing import Any

import pytest

from rs_order.app.shared_parts import copied_to_notifier
from rs_order.core import responses
from rs_order.core.responses import Response
from rs_order.core.shared_steps import ScheduleStep
from rs_order.domain.ids import OrderId, RequestId
from rs_order.ports import MessageKind
from rs_order.settings import Settings, SettingsError
from rs_order.store.pool import Pool
from rs_order.store.unit_of_work import Store
from tests.integration.conftest import TENANT
from tests.support.rows import OWNER

RESPONSE = "fr.cnes.regards.modules.order.amqp.output.OrderResponseDtoEvent"
NOTIFICATION = "fr.cnes.regards.framework.amqp.event.notification.NotificationEvent"


@pytest.fixture
def copying(pool: Pool) -> Store:
    """Return a store that copies order responses."""
    copied = copied_to_notifier(Settings(amqp_notifier_events=[RESPONSE]))
    return Store(pool, lambda _: None, copied)


def granted(request: int) -> Response:
    return responses.granted(TENANT, OrderId(request), RequestId(request), f"c-{request}")


async def outbox(pool: Pool) -> list[Any]:
    return await pool.fetch("select * from rs_order.outbox order by id")


async def test_a_copy_follows_its_message_in_the_same_stream(copying: Store, pool: Pool) -> None:
    """It has the same body and the class by which rs-notifier knows it; nothing else is copied."""
    async with copying.unit_of_work(TENANT) as uow:
        await uow.messages.respond([granted(1), granted(2)])
        await uow.messages.send(
            [responses.oversized_file(TENANT, "a"), ScheduleStep(OWNER).to(TENANT)]
        )
    rows = await outbox(pool)

    assert [(row["kind"], row["stream"]) for row in rows] == [
        ("ORDER_RESPONSE", "project1/order/1"),
        ("NOTIFIER_COPY", "project1/order/1"),
        ("ORDER_RESPONSE", "project1/order/2"),
        ("NOTIFIER_COPY", "project1/order/2"),
        ("NOTIFICATION", None),
        ("STEP", None),
    ]
    assert rows[0]["partition"] == rows[1]["partition"]
    assert json.loads(rows[1]["body"]) == {
        "payload": {"status": "GRANTED", "orderId": 1, "correlationId": "c-1"},
        "metadata": {"priority": 1, "messageType": RESPONSE},
    }


async def test_a_repeated_message_is_copied_again_under_the_same_id(
    copying: Store, pool: Pool
) -> None:
    """A receiver of copies can recognize the repetition."""
    async with copying.unit_of_work(TENANT) as uow:
        await uow.messages.respond([granted(1)])
    async with copying.unit_of_work(TENANT) as uow:
        await uow.messages.repeat([RequestId(1)])
    first, copy, again, copy_again = await outbox(pool)

    assert (again["message_id"], copy_again["message_id"]) == (
        first["message_id"],
        copy["message_id"],
    )
    assert copy["message_id"] != first["message_id"]
    assert copy_again["body"] == copy["body"]


async def test_nothing_is_copied_by_default(store: Store, pool: Pool) -> None:
    async with store.unit_of_work(TENANT) as uow:
        await uow.messages.respond([granted(1)])

    assert [row["kind"] for row in await outbox(pool)] == ["ORDER_RESPONSE"]


def test_classes_of_projects_messages_can_be_copied() -> None:
    """Those of the installation can't, because rs-notifier serves projects only."""
    copied = copied_to_notifier(Settings(amqp_notifier_events=[RESPONSE, NOTIFICATION]))

    assert copied == {
        MessageKind.ORDER_RESPONSE: RESPONSE,
        MessageKind.NOTIFICATION: NOTIFICATION,
    }
    with pytest.raises(SettingsError, match="RS_ORDER_AMQP_NOTIFIER_EVENTS: 'x' is no message"):
        copied_to_notifier(Settings(amqp_notifier_events=["x"]))
