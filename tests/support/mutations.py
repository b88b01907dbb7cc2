"""Mutations of a valid message: each changes one thing, as a defect of a peer might."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

VALUES: tuple[Any, ...] = (
    None, "", " ", "\0", "\ud800", "x" * 20_000, -1, 0, 2**63, 2**70, 1.5, 1e308, True, [], {}, [[[]]],
    [None], {"a": {"b": []}}, "2026-13-45T99:99:99Z", "../../etc/passwd", "'; drop table orders; --",
)  # fmt: skip
RAW = (
    b"",
    b"null",
    b"[]",
    b"{",
    b'"text"',
    b"\xff\xfe",
    b"{}" * 2,
    b"[" * 20_000,
    b'{"a":' * 2000,
    b"{'a': 1}",
)


def mutated(example: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield bodies: one member left out or with another value, an unknown member, half a body, no JSON."""
    for name in example:
        yield _encoded({other: value for other, value in example.items() if other != name})
        for value in VALUES:
            yield _encoded({**example, name: value})
    yield _encoded({**example, "unknown": {"deep": [1]}})
    yield _encoded(example)[:-7]
    yield from RAW


def _encoded(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body).encode()
