"""Rules of webhooks: signatures, schedule, answers of receivers, addresses (faces.md 4.3, E-W1, E-10)."""

from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from rs_order.domain.webhooks import (
    PAUSES,
    Outcome,
    UrlRules,
    WebhookSecret,
    WebhookUrlRejected,
    host_matches,
    next_attempt,
    outcome_of,
    requested_pause,
    signature,
    timestamp,
)

VECTOR_ID = "0192f3c1-7e1a-7c3a-9d0a-5a4b7c1d2e3f"
VECTOR_BODY = (
    b'{"specversion":"1.0","id":"0192f3c1-7e1a-7c3a-9d0a-5a4b7c1d2e3f","type":"rsorder.order.done"}'
)
NOW = datetime(2026, 11, 28, 19, 2, 11, tzinfo=UTC)


def headers(*keys: WebhookSecret, at: datetime) -> dict[str, str]:
    return {
        "webhook-id": VECTOR_ID,
        "webhook-timestamp": str(timestamp(at)),
        "webhook-signature": signature(keys, VECTOR_ID, at, VECTOR_BODY),
    }


def test_the_vector_of_the_specification() -> None:
    """E-12."""
    secret = WebhookSecret(bytes(range(32)))
    at = datetime.fromtimestamp(1795891200, UTC)

    assert secret.shown() == "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    assert (
        signature([secret], VECTOR_ID, at, VECTOR_BODY)
        == "v1,o8kNi52h3vfY2CoUHKyOdw10v19E94Ui82bWpi/0sEU="
    )


def test_the_library_accepts_what_is_signed_now() -> None:
    """And refuses another secret, another body, and a time more than five minutes ago (E-13)."""
    secret, other, now = WebhookSecret.new(), WebhookSecret.new(), datetime.now(UTC)
    receiver = Webhook(secret.shown())

    assert receiver.verify(VECTOR_BODY, headers(secret, at=now))["type"] == "rsorder.order.done"
    for body, sent in (
        (VECTOR_BODY, headers(other, at=now)),
        (VECTOR_BODY + b" ", headers(secret, at=now)),
        (VECTOR_BODY, headers(secret, at=now - timedelta(minutes=6))),
    ):
        with pytest.raises(WebhookVerificationError):
            receiver.verify(body, sent)


def test_both_receivers_accept_during_a_rotation() -> None:
    """Two signatures, the new one first (E-14)."""
    new, old = WebhookSecret.new(), WebhookSecret.new()
    now = datetime.now(UTC)
    sent = headers(new, old, at=now)

    for secret in (new, old):
        assert Webhook(secret.shown()).verify(VECTOR_BODY, sent)
    assert sent["webhook-signature"].split() == [
        signature([secret], VECTOR_ID, now, VECTOR_BODY) for secret in (new, old)
    ]


def test_a_secret_shows_itself_only_when_it_is_asked_to() -> None:
    secret = WebhookSecret.new()

    assert WebhookSecret.of(secret.shown()).key == secret.key
    assert secret.shown() not in f"{secret!r} {secret}"


@pytest.mark.parametrize(
    "text", ["", "whsec_", "whsec_?", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "whsec_AAEC"]
)
def test_no_secret(text: str) -> None:
    with pytest.raises(ValueError, match="a secret is whsec_ and 32 bytes"):
        WebhookSecret.of(text)


def test_the_schedule() -> None:
    """Ten attempts within 75.6 hours (E-16), each pause a tenth longer or shorter by chance."""
    due = [next_attempt(failures, NOW, jitter=lambda: 0.5) for failures in range(1, 11)]
    shortest = next_attempt(2, NOW, jitter=lambda: 0.0)
    longest = next_attempt(2, NOW, jitter=lambda: 1.0)

    assert due == [*(NOW + pause for pause in PAUSES), None]
    assert sum(PAUSES, timedelta()) == timedelta(hours=75, minutes=35, seconds=5)
    assert (shortest, longest) == (NOW + timedelta(seconds=270), NOW + timedelta(seconds=330))


def test_a_receiver_may_ask_for_a_longer_pause() -> None:
    """Not for a shorter one than the schedule has."""
    hour = NOW + timedelta(hours=1)

    assert next_attempt(1, NOW, not_before=hour) == hour
    assert next_attempt(9, NOW, not_before=hour, jitter=lambda: 0.5) == NOW + PAUSES[8]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Outcome.DELIVERED),
        (204, Outcome.DELIVERED),
        (299, Outcome.DELIVERED),
        (199, Outcome.FAILED),
        (302, Outcome.FAILED),
        (404, Outcome.FAILED),
        (410, Outcome.ENDED),
        (500, Outcome.FAILED),
        (None, Outcome.FAILED),
    ],
)
def test_outcomes(status: int | None, outcome: Outcome) -> None:
    """E-15."""
    assert outcome_of(status) is outcome


@pytest.mark.parametrize(
    ("status", "value", "seconds"),
    [
        (503, "120", 120),
        (429, " 7 ", 7),
        (503, "999999999999", 86400),
        (503, "Sat, 28 Nov 2026 19:03:11 GMT", 60),
        (503, "Wed, 30 Dec 2026 19:02:11 GMT", 86400),
        (500, "120", None),
        (503, "soon", None),
        (503, "-5", None),
        (503, "Sat, 28 Nov 2026 19:03:11 -0000", None),
        (503, None, None),
    ],
)
def test_pauses_that_receivers_ask_for(status: int, value: str | None, seconds: int | None) -> None:
    until = requested_pause(status, value, NOW)

    assert until == (None if seconds is None else NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://hooks.example.org/rs", "hooks.example.org"),
        ("https://HOOKS.example.org:8443/rs?a=b", "hooks.example.org"),
        ("https://[2001:db8::1]/", "2001:db8::1"),
    ],
)
def test_urls(url: str, host: str) -> None:
    assert UrlRules().host_of(url) == host


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.org/",
        "ftp://hooks.example.org/",
        "hooks.example.org",
        "https://",
        "https://:443/",
        "https://jane@hooks.example.org/",
        "https://@hooks.example.org/",
        "https://hooks.example.org/#",
        "https://hooks.example.org:80/",
        "https://hooks.example.org:port/",
        "https://[::1/",
        "https://hooks.example.org\\@inside/",
        "https://hooks.example.org/a b",
        "https://hooks.example.org/\r\nX: y",
        "https://hööks.example.org/",
        "https://hooks.example.org/" + 2000 * "a",
    ],
    ids=lambda url: ascii(url)[:40],
)
def test_urls_that_break_a_rule(url: str) -> None:
    """E-W1."""
    with pytest.raises(WebhookUrlRejected):
        UrlRules().host_of(url)


def test_http_is_for_tests() -> None:
    assert UrlRules(http=True).host_of("http://127.0.0.1:50123/") == "127.0.0.1"


@pytest.mark.parametrize(
    ("host", "matches"),
    [
        ("hooks.example.org", True),
        ("a.hooks.example.org", True),
        ("HOOKS.Example.org.", True),
        ("exact.test", True),
        ("example.org", False),
        ("badexample.org", False),
        ("sub.exact.test", False),
        ("example.org.evil.test", False),
    ],
)
def test_hosts_that_a_project_allows(host: str, matches: bool) -> None:
    """E-10."""
    assert host_matches(host, ["*.example.org", "exact.test"]) is matches


def test_no_pattern_allows_nothing() -> None:
    assert not host_matches("hooks.example.org", [])
