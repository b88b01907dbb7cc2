"""Secrets in the database are useless without the key, and in another row (faces.md E-14)."""

import base64
from uuid import UUID

import pytest

from rs_order.domain.ids import Tenant
from rs_order.domain.webhooks import WebhookSecret
from rs_order.subscriptions.sealing import SealBroken, SecretSeal

KEY = base64.b64encode(bytes(range(32))).decode()
OTHER_KEY = base64.b64encode(bytes(32)).decode()
TENANT, OTHER_TENANT = Tenant("project1"), Tenant("project2")
ID, OTHER_ID = UUID(int=1), UUID(int=2)


def test_what_is_sealed_can_be_opened() -> None:
    """Each time it looks different, and never like the secret."""
    seal, secret = SecretSeal(KEY), WebhookSecret.new()
    first, second = (seal.seal(TENANT, ID, secret) for _ in range(2))

    assert seal.open(TENANT, ID, first).key == secret.key == seal.open(TENANT, ID, second).key
    assert first != second
    assert secret.key not in first


@pytest.mark.parametrize(
    ("key", "tenant", "subscription"),
    [(OTHER_KEY, TENANT, ID), (KEY, OTHER_TENANT, ID), (KEY, TENANT, OTHER_ID)],
    ids=["another key", "another tenant", "another subscription"],
)
def test_a_seal_is_good_for_one_row(key: str, tenant: Tenant, subscription: UUID) -> None:
    sealed = SecretSeal(KEY).seal(TENANT, ID, WebhookSecret.new())

    with pytest.raises(SealBroken, match="RS_ORDER_EVENTS_KEY"):
        SecretSeal(key).open(tenant, subscription, sealed)


@pytest.mark.parametrize("length", [0, 5, 12, 27, 59])
def test_a_damaged_secret(length: int) -> None:
    sealed = SecretSeal(KEY).seal(TENANT, ID, WebhookSecret.new())

    with pytest.raises(SealBroken):
        SecretSeal(KEY).open(TENANT, ID, sealed[:length])


@pytest.mark.parametrize("key", ["", "short", "!" * 44, KEY[:-4], KEY + KEY])
def test_a_key_that_is_none(key: str) -> None:
    with pytest.raises(ValueError, match=r"must be 32 bytes in base64$"):
        SecretSeal(key)
