"""The receiver of the demo agrees to get events, and tells a right signature from a wrong one."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import orjson
import pytest
from standardwebhooks.webhooks import Webhook

from rs_order.demo.case_runner import problems_of_events
from rs_order.demo.webhook_receiver import PATH, HeardEvent, Receiver, listening

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
DATA = {"event": "order.created", "orderId": 7, "ordinal": 1, "status": "PENDING", "percent": 0}
BODY = orjson.dumps({"id": "e-1", "data": DATA})


@pytest.fixture
def shown() -> list[HeardEvent]:
    """The events that the receiver has shown."""
    return []


@pytest.fixture
async def receiver(shown: list[HeardEvent]) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a receiver that trusts the secret."""
    receiver = Receiver(shown.append)
    receiver.trust(SECRET)
    async with (
        listening(receiver) as address,
        httpx.AsyncClient(base_url=address.removesuffix(PATH), trust_env=False) as client,
    ):
        yield client


def headers(secret: str = SECRET) -> dict[str, str]:
    """Sign as the library of Standard Webhooks does."""
    at = datetime.now(UTC)
    return {
        "webhook-id": "e-1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign("e-1", at, BODY.decode()),
    }


async def test_it_agrees(receiver: httpx.AsyncClient) -> None:
    answer = await receiver.options(
        PATH, headers={"WebHook-Request-Origin": "rs-order.example.org"}
    )

    assert answer.headers["WebHook-Allowed-Origin"] == "rs-order.example.org"


async def test_it_keeps_each_event_once(
    receiver: httpx.AsyncClient, shown: list[HeardEvent]
) -> None:
    for _ in range(2):
        assert (await receiver.post(PATH, content=BODY, headers=headers())).status_code == 204

    assert shown == [HeardEvent("e-1", 7, 1, "order.created", "PENDING", 0, is_verified=True)]


async def test_it_shows_a_wrong_signature(
    receiver: httpx.AsyncClient, shown: list[HeardEvent]
) -> None:
    await receiver.post(PATH, content=BODY, headers=headers("whsec_" + 43 * "A" + "="))

    assert [event.is_verified for event in shown] == [False]


def test_events_that_are_missing_or_forged_are_problems() -> None:
    first = HeardEvent("a", 7, 1, "order.created", "PENDING", 0, is_verified=True)
    second = HeardEvent("b", 7, 2, "order.listed", "RUNNING", 0, is_verified=True)
    forged = HeardEvent("c", 7, 3, "order.done", "DONE", 100, is_verified=False)

    assert problems_of_events([first, second]) == []
    assert problems_of_events([first, second, forged]) == ["the signature of order.done is wrong"]
    assert problems_of_events([second, first]) == [
        "events are missing, or came in another order: 2. order.listed, 1. order.created"
    ]
