"""Without RS_ORDER_EVENTS_KEY nothing could keep secrets, so there are no webhooks."""

from typing import Any
from uuid import UUID

import pytest

from rs_order.app.webhooks import secret_seal
from rs_order.core.errors import WebhooksOff
from rs_order.domain.ids import Tenant
from rs_order.domain.webhooks import UrlRules
from rs_order.settings import Settings, SettingsError
from rs_order.subscriptions.webhooks import ManageWebhooks


async def test_there_are_no_webhooks() -> None:
    absent: Any = None
    manage = ManageWebhooks(
        absent,
        absent,
        subscriptions=absent,
        verify=absent,
        seal=secret_seal(Settings()),
        rules=UrlRules(),
        changed=absent,
    )

    with pytest.raises(WebhooksOff, match="RS_ORDER_EVENTS_KEY"):
        await manage.test(Tenant("project1"), UUID(int=1))


def test_a_wrong_key_stops_the_start() -> None:
    """And isn't repeated."""
    with pytest.raises(
        SettingsError, match="RS_ORDER_EVENTS_KEY: the key must be 32 bytes"
    ) as error:
        secret_seal(Settings(events_key="secret"))

    assert "secret" not in str(error.value).removeprefix("RS_ORDER_EVENTS_KEY")
