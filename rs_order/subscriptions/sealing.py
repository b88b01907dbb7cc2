"""Encrypts the secrets of subscriptions in the database (faces.md E-14)."""

import base64
import binascii
import secrets
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from rs_order.domain.ids import Tenant
from rs_order.domain.webhooks import WebhookSecret

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12


class SealBroken(Exception):
    """A stored secret can't be decrypted: it was sealed with another key, or for another subscription."""

    code = "seal-broken"

    def __init__(self, subscription_id: UUID) -> None:
        super().__init__(
            f"The secret of subscription {subscription_id} can't be decrypted. Give the service the key that "
            "encrypted it (RS_ORDER_EVENTS_KEY), or let its owner request a new secret."
        )


class SecretSeal:
    """Encrypts with AES-256-GCM. What is sealed for a subscription is good for no other one."""

    def __init__(self, key: str) -> None:
        """``key``: 32 bytes in base64.

        Raises:
            ValueError: it is something else; the text doesn't repeat it.
        """
        try:
            raw = base64.b64decode(key, validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if len(raw) != KEY_BYTES:
            raise ValueError(f"the key must be {KEY_BYTES} bytes in base64")
        self._cipher = AESGCM(raw)

    def seal(self, tenant: Tenant, subscription_id: UUID, secret: WebhookSecret) -> bytes:
        """Return what is stored: a nonce, and the encrypted secret."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret.key, _purpose(tenant, subscription_id))

    def open(self, tenant: Tenant, subscription_id: UUID, sealed: bytes) -> WebhookSecret:
        """Return the secret.

        Raises:
            SealBroken: it can't be decrypted.
        """
        nonce, encrypted = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        try:
            key = self._cipher.decrypt(nonce, encrypted, _purpose(tenant, subscription_id))
        except (InvalidTag, ValueError) as error:
            raise SealBroken(subscription_id) from error
        return WebhookSecret(key)


def _purpose(tenant: Tenant, subscription_id: UUID) -> bytes:
    return f"webhook secret of {tenant}/{subscription_id}".encode()
