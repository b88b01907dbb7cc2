"""Rules of webhooks: addresses, signatures, and when a delivery is tried again (faces.md 4.3, E-W1).

Signatures are those of Standard Webhooks, symmetric. A receiver refuses what was signed more than five
minutes before, so each attempt signs its own time.

A receiver that fails gets one request at a time, so that those that hang cost little. After five failures in
a row it is struggling: one delivery is tried at each step of the schedule, and the rest waits.
"""

import base64
import binascii
import hashlib
import hmac
import random
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from rs_order.domain.retry import RandomSource

SECRET_BYTES: Final = 32
LONGEST_URL: Final = 2000
HTTPS_PORTS: Final = frozenset({443, 8443})
"""The ports of receivers, unless the operator lists others."""
LONGEST_RETRY_AFTER: Final = timedelta(hours=24)
MOST_AT_ONCE: Final = 4
"""The most requests to one receiver at the same time."""
PAUSE_OF_A_REQUEST: Final = timedelta(seconds=1) / 8
"""The pause after requests, for each: fewer than ten in any second."""
STRUGGLING_AFTER: Final = 5
"""Failures in a row."""
DISABLED_AFTER: Final = timedelta(hours=120)
"""The time without a success after which nothing is sent any more."""
FEWEST_FAILURES: Final = 10
"""Nor before so many failures in a row."""
VERIFY_EVERY: Final = timedelta(hours=1)
VERIFY_FOR: Final = timedelta(hours=24)
LONGEST_OVERLAP: Final = timedelta(hours=72)
"""The longest time for which two secrets sign."""

PAUSES: Final = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""The pauses after the first failure, the second, and so on; 75.6 hours in all."""
JITTER: Final = 0.1
"""The largest fraction by which a pause is longer or shorter, so that receivers aren't called all at once."""

_PREFIX: Final = "whsec_"
_OBEYED: Final = frozenset({429, 502, 503, 504})
"""The statuses whose ``Retry-After`` counts."""
_JITTER: Final = random.Random()  # noqa: S311 - pauses are no secret


class WebhookMode(StrEnum):
    """Where the attributes of an event are. The names are those on the wire."""

    STRUCTURED = "structured"
    """In the body, with the data."""
    BINARY = "binary"
    """In headers; the body is the data."""


class WebhookState(StrEnum):
    """Whether a webhook gets events. The names are those on the wire."""

    PENDING = "pending"
    """Its receiver has not agreed yet. A new one and one with a new URL begin here."""
    ACTIVE = "active"
    STRUGGLING = "struggling"
    """Its receiver failed several times in a row. The first success makes it active."""
    DISABLED = "disabled"
    """It gets nothing until its owner enables it."""


class Disabled(StrEnum):
    """Why a webhook gets nothing. The names are those on the wire."""

    RECEIVER_GONE = "receiver-gone"
    """It answered 410."""
    NO_SUCCESS = "no-success"
    """It failed for five days."""
    NOT_VERIFIED = "not-verified"
    """It didn't agree within a day."""
    BY_OWNER = "by-owner"
    BY_OPERATOR = "by-operator"


class DeliveryState(StrEnum):
    """What became of an event for one webhook. The names are those on the wire."""

    WAITING = "waiting"
    """It is tried when it is due, and when the event before it, of the same order, is delivered or dead."""
    DELIVERED = "delivered"
    DEAD = "dead"
    """All attempts failed. It can be replayed."""


class WebhookSecret:
    """The key of a subscription's signatures. Its text is shown once, and it is never logged."""

    def __init__(self, key: bytes) -> None:
        self.key: Final = key

    @classmethod
    def new(cls) -> "WebhookSecret":
        return cls(secrets.token_bytes(SECRET_BYTES))

    @classmethod
    def of(cls, text: str) -> "WebhookSecret":
        """Return the secret that was shown.

        Raises:
            ValueError: the text isn't that of a secret; it isn't repeated.
        """
        encoded = text.removeprefix(_PREFIX)
        try:
            key = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            key = b""
        if encoded == text or len(key) != SECRET_BYTES:
            raise ValueError(f"a secret is {_PREFIX} and {SECRET_BYTES} bytes in base64")
        return cls(key)

    def shown(self) -> str:
        """Return the text that receivers configure."""
        return _PREFIX + base64.b64encode(self.key).decode()

    def __repr__(self) -> str:
        return "WebhookSecret(***)"


def signature(keys: Sequence[WebhookSecret], message_id: str, at: datetime, body: bytes) -> str:
    """Return the header ``webhook-signature``: one signature for each key, separated by spaces.

    Args:
        keys: the present one; while it replaces an older one, both, the new one first.
        message_id: the header ``webhook-id``.
        at: the time of the attempt; its seconds are the header ``webhook-timestamp``.
        body: the bytes that are sent.
    """
    signed = b"%s.%d.%s" % (message_id.encode(), timestamp(at), body)
    digests = (hmac.digest(one.key, signed, hashlib.sha256) for one in keys)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def timestamp(at: datetime) -> int:
    """Return the header ``webhook-timestamp``: seconds since 1970."""
    return int(at.timestamp())


class Outcome(StrEnum):
    """What became of an attempt."""

    DELIVERED = "delivered"
    """The receiver has the event: any 2xx, and nothing else."""
    FAILED = "failed"
    """It is tried again, or given up after the last attempt."""
    ENDED = "ended"
    """The receiver wants no more events (410)."""


def outcome_of(status: int | None) -> Outcome:
    """Return the outcome of a response; None: there was none."""
    if status is None:
        return Outcome.FAILED
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Outcome.DELIVERED
    return Outcome.ENDED if status == HTTPStatus.GONE else Outcome.FAILED


def next_attempt(
    failures: int,
    now: datetime,
    *,
    not_before: datetime | None = None,
    jitter: RandomSource = _JITTER.random,
) -> datetime | None:
    """Return when to try again after so many failures, at least 1; None: never, the delivery is dead.

    ``not_before``: what the receiver asked for.
    """
    if failures > len(PAUSES):
        return None
    due = now + _jittered(PAUSES[failures - 1], jitter)
    return due if not_before is None else max(due, not_before)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a receiver did lately, and what follows from it."""

    state: WebhookState
    because: Disabled | None = None
    """Of a disabled one."""
    failures: int = 0
    """In a row."""
    failing_since: datetime | None = None
    last_success: datetime | None = None
    resting_until: datetime | None = None
    """The receiver isn't called before."""

    @property
    def is_good(self) -> bool:
        """True if the last attempt was a success."""
        return not self.failures and self.last_success is not None

    def after(
        self,
        outcome: Outcome,
        now: datetime,
        *,
        not_before: datetime | None = None,
        jitter: RandomSource = _JITTER.random,
    ) -> "Standing":
        """Return the standing after an attempt. ``not_before``: what the receiver asked for."""
        match outcome:
            case Outcome.DELIVERED:
                return Standing(WebhookState.ACTIVE, last_success=now)
            case Outcome.ENDED:
                return replace(self, state=WebhookState.DISABLED, because=Disabled.RECEIVER_GONE)
            case Outcome.FAILED:
                return self._after_failure(now, not_before, jitter)

    def _after_failure(
        self, now: datetime, not_before: datetime | None, jitter: RandomSource
    ) -> "Standing":
        failures, since = self.failures + 1, self.failing_since or now
        if failures >= FEWEST_FAILURES and now - since >= DISABLED_AFTER:
            return replace(self, state=WebhookState.DISABLED, because=Disabled.NO_SUCCESS)
        probe = None
        if failures >= STRUGGLING_AFTER:
            step = min(failures - STRUGGLING_AFTER, len(PAUSES) - 1)
            probe = now + _jittered(PAUSES[step], jitter)
        return replace(
            self,
            state=self.state if probe is None else WebhookState.STRUGGLING,
            failures=failures,
            failing_since=since,
            resting_until=max(filter(None, (probe, not_before)), default=None),
        )


def _jittered(pause: timedelta, jitter: RandomSource) -> timedelta:
    return pause * (1 + JITTER * (2 * jitter() - 1))


def most_at_once(standing: Standing, allowed_rate: int | None) -> int:
    """Return how many requests a receiver may get now. ``allowed_rate``: in a minute; None: any."""
    if not standing.is_good or _pause_of(allowed_rate) > PAUSE_OF_A_REQUEST:
        return 1
    return MOST_AT_ONCE


def pause_after(requests: int, allowed_rate: int | None) -> timedelta:
    """Return the pause from the beginning of so many requests to that of the next ones."""
    return requests * _pause_of(allowed_rate)


def _pause_of(allowed_rate: int | None) -> timedelta:
    asked = timedelta() if allowed_rate is None else timedelta(minutes=1) / allowed_rate
    return max(asked, PAUSE_OF_A_REQUEST)


def requested_pause(status: int, retry_after: str | None, now: datetime) -> datetime | None:
    """Return until when a receiver wants to be left alone, at most a day; None: it doesn't say.

    ``retry_after``: seconds or a date (RFC 9110, 10.2.3). Anything else is ignored.
    """
    if retry_after is None or status not in _OBEYED:
        return None
    value = retry_after.strip()
    if value.isascii() and value.isdigit():
        seconds = min(int(value[:9]), LONGEST_RETRY_AFTER.total_seconds())
        return now + timedelta(seconds=seconds)
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    if until.tzinfo is None:  # "-0000": a time in an unknown zone
        return None
    return min(until, now + LONGEST_RETRY_AFTER)


class WebhookUrlRejected(ValueError):
    """Nothing may be sent to this URL. The text says which rule it breaks."""


@dataclass(frozen=True, slots=True)
class UrlRules:
    """Which URLs may be webhooks. The addresses of their hosts are judged at each attempt."""

    http: bool = False
    """Accept ``http``, for tests."""
    ports: Collection[int] = HTTPS_PORTS

    def host_of(self, url: str) -> str:
        """Return the host of a URL that keeps the rules, in lower case.

        Raises:
            WebhookUrlRejected: it breaks one.
        """
        if len(url) > LONGEST_URL:
            raise WebhookUrlRejected(f"a URL has at most {LONGEST_URL} characters")
        if not url.isascii() or not url.isprintable() or any(one in url for one in ' "<>\\^`{|}'):
            raise WebhookUrlRejected("a URL has no blanks, backslashes or other special characters")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise WebhookUrlRejected("host and port of the URL can't be read") from error
        if parts.scheme not in (("https", "http") if self.http else ("https",)):
            raise WebhookUrlRejected("a URL begins with https://")
        if not host:
            raise WebhookUrlRejected("the URL has no host")
        if "@" in parts.netloc:
            raise WebhookUrlRejected("a URL has no user and no password")
        if "#" in url:
            raise WebhookUrlRejected("a URL has no fragment")
        if port is not None and port not in self.ports and not self.http:
            allowed = ", ".join(map(str, sorted(self.ports)))
            raise WebhookUrlRejected(f"the port of a URL is one of {allowed}")
        return host


def host_matches(host: str, patterns: Collection[str]) -> bool:
    """True if a host is one of these, or below one that begins with ``*.``; case doesn't count."""
    name = host.lower().removesuffix(".")
    return any(_matches(name, pattern.lower()) for pattern in patterns)


def _matches(name: str, pattern: str) -> bool:
    beginning, star, domain = pattern.partition("*.")
    return name.endswith(f".{domain}") if star and not beginning else name == pattern


def allowed_rate(value: str | None) -> int | None:
    """Return the requests in a minute of the header ``WebHook-Allowed-Rate``; None: any number."""
    text = (value or "").strip()
    if not (text.isascii() and text.isdigit()):
        return None
    return min(max(1, int(text[:9])), 10**6)
