"""Mails through rs-admin-instance (remote-services.md 6.2)."""

import aiohttp
import pytest

from rs_order.ports import BadResponse, Mail, RemoteRejection, RemoteUnavailable
from rs_order.regards.admin import RegardsMailer
from rs_order.regards.http import RemoteService, TokenIssuer
from rs_order.sandbox.faults import Outage, OutageMode, Service
from rs_order.sandbox.simulated_platform import Sandbox
from tests.regards.conftest import DEMO

MAIL = Mail(
    key="demo.1", to="jane@example.org", subject="Order number 1 is confirmed", html="<p>é</p>"
)


@pytest.fixture
def service(sandbox: Sandbox, client: aiohttp.ClientSession) -> RemoteService:
    return RemoteService("rs-admin-instance", sandbox.urls["ADMIN_INSTANCE_URL"], client)


async def test_a_mail_is_posted_as_administrator_of_the_instance(
    sandbox: Sandbox, service: RemoteService, tokens: TokenIssuer
) -> None:
    """It has only recipient, subject and text. The mail service has a sender of its own, by default."""
    await RegardsMailer(service, tokens).send(DEMO, MAIL)
    await RegardsMailer(service, tokens, "orders@site.example").send(DEMO, MAIL)

    first, second = sandbox.mailbox.mails
    assert first.model_dump(exclude={"sent_date"}, exclude_defaults=True) == {
        "to": ["jane@example.org"],
        "subject": "Order number 1 is confirmed",
        "text": "<p>é</p>",
    }
    assert second.sender == "orders@site.example"
    (call, _) = sandbox.calls.recent(Service.ADMIN_INSTANCE)
    assert (call.verb, call.path) == ("POST", "/email")
    assert (call.tenant, call.role) == ("instance", "INSTANCE_ADMIN")


@pytest.mark.parametrize(
    ("outage", "error"),
    [
        (Outage(mode=OutageMode.DOWN), RemoteUnavailable),
        (Outage(mode=OutageMode.STATUS, status=500), RemoteUnavailable),
        (Outage(mode=OutageMode.STATUS, status=429), RemoteUnavailable),
        (Outage(mode=OutageMode.STATUS, status=400), RemoteRejection),
        (Outage(mode=OutageMode.STATUS, status=404), RemoteRejection),
        (Outage(mode=OutageMode.EMPTY), BadResponse),
        (Outage(mode=OutageMode.NONSENSE), BadResponse),
        (Outage(mode=OutageMode.SLOW, seconds=5), RemoteUnavailable),
    ],
    ids=str,
)
async def test_only_a_201_means_that_a_mail_was_accepted(
    outage: Outage,
    error: type[Exception],
    sandbox: Sandbox,
    service: RemoteService,
    tokens: TokenIssuer,
) -> None:
    """Everything else is a rejection, or may be tried again."""
    sandbox.faults.outages = {Service.ADMIN_INSTANCE: outage}

    with pytest.raises(error, match="rs-admin-instance: /email: "):
        await RegardsMailer(service, tokens).send(DEMO, MAIL)
