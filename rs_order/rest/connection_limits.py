"""Limits what a connection may send and for how long it may wait, before any endpoint is involved.

uvicorn and its parser keep the head of a request in memory without a limit, and wait for its end for ever.
``docs/security.md`` lists the limits.
"""

import asyncio
import functools
import resource
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, Final, cast

import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from rs_order.rest.errors import messages_answer
from rs_order.rest.head_with_body import HeadWithBody

_PIECE: Final = 16 * 1024
"""Bytes that the parser receives at a time. A head behind another request may exceed its limit by them."""

log = structlog.stdlib.get_logger("rs_order.rest")


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The limits of a connection; sizes in bytes, times in seconds."""

    head: int = 64 * 1024
    """Request line and headers; trailers and the frames of a chunked body count alike."""
    head_seconds: float = 30.0
    """From the first byte of a request, or the start of the connection, to the end of the head."""
    body_piece: int = 2**20
    body_seconds: float = 60.0
    """For each ``body_piece`` of a body, and for its rest."""
    idle_seconds: float = 75.0
    """Between a response and the next request. Gateways commonly keep a connection for up to 60 s; a request
    that crosses with its end is lost."""
    waiting_requests: int = 16
    """Requests sent ahead while an earlier one of the connection is answered."""
    unread_seconds: float = 300.0
    """For how long a client may leave a response unread."""
    connections: int = 4000
    """In total; half of the files that the process may open is never exceeded."""
    connections_per_address: int = 500
    """Addresses of one IPv6 network of 64 bits count as one."""
    proxies: Sequence[IPv4Network | IPv6Network] = ()
    """Their connections count in total only: they connect for many callers."""
    linger_seconds: float = 2.0
    """How long what a rejected client still sends is discarded, so that it can read why."""


def limited_protocol(limits: ConnectionLimits) -> Callable[..., HttpToolsProtocol]:
    """Return uvicorn's protocol with limits, in the form that its configuration takes."""
    return functools.partial(_LimitedProtocol, limits, OpenConnections(limits))


class OpenConnections:
    """Counts the connections of a server, in total and by address."""

    def __init__(self, limits: ConnectionLimits) -> None:
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._most = limits.connections
        if files != resource.RLIM_INFINITY:
            self._most = min(self._most, files // 2)
        self._most_of_an_address = limits.connections_per_address
        self._proxies = limits.proxies
        self._by_address: Counter[str] = Counter()

    def count(self, address: str) -> str | None:
        """Count a new connection, or return the reason why there may be no more of them."""
        if self._by_address.total() >= self._most:
            return f"More than {self._most} connections are open"
        name = counted_as(address)
        is_limited = not any(ip_address(address) in network for network in self._proxies)
        if is_limited and self._by_address[name] >= self._most_of_an_address:
            return f"More than {self._most_of_an_address} connections of {address} are open"
        self._by_address[name] += 1
        return None

    def forget(self, address: str) -> None:
        """Count a connection no longer."""
        name = counted_as(address)
        self._by_address[name] -= 1
        if not self._by_address[name]:
            del self._by_address[name]


def counted_as(address: str) -> str:
    """Return the address, or the network of an IPv6 address, all of which belongs to one sender."""
    try:
        parsed = ip_address(address)
    except ValueError:  # a proxy may forward any text
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((int(parsed), 64), strict=False))


class _LimitedProtocol(HttpToolsProtocol):
    """Rejects heads that are too large, and ends connections that are too slow."""

    def __init__(
        self, limits: ConnectionLimits, connections: OpenConnections, *args: Any, **options: Any
    ) -> None:
        self._limits = limits
        self._connections = connections
        self._counted: str | None = None
        """The address that this connection is counted for, if it is counted."""
        self._frames = 0
        """Bytes received since the parser last reported the end of a head, a chunk or a message."""
        self._body = 0
        self._in_body = False
        self._rejected = False
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        super().__init__(*args, **options)
        self.timeout_keep_alive = limits.idle_seconds  # type: ignore[assignment] # a time in seconds

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        super().connection_made(transport)
        self._limit_head()
        address = self.client[0] if self.client else "::"
        reason = self._connections.count(address)
        if reason is None:
            self._counted = address
        else:
            self._reject(503, reason)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._counted is not None:
            self._connections.forget(self._counted)
            self._counted = None
        self._end_deadline()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deadline is None and not self._rejected:
            self._limit_head()
        while data and not self._rejected and not self.transport.is_closing():
            piece = data[: min(_PIECE, self._limits.head - self._frames)]
            data = data[len(piece) :]
            self._frames += len(piece)
            super().data_received(piece)
            if self._frames >= self._limits.head and not self._rejected:
                self._reject(431, f"The head is larger than {self._limits.head} bytes")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._limit_head()

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= self._limits.waiting_requests:
            raise ValueError("too many requests sent ahead")
        super().on_headers_complete()
        self.cycle.transport = cast("asyncio.Transport", HeadWithBody(self.transport, self.loop))
        self._frames = self._body = 0
        self._in_body = True
        self._set_deadline(self._limits.body_seconds)

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._frames = 0
        self._body += len(body)
        if self._body >= self._limits.body_piece:
            self._body = 0
            self._set_deadline(self._limits.body_seconds)

    def on_chunk_complete(self) -> None:
        """Reset the count of bytes between chunks; behind the last chunk, it counts the trailers."""
        self._frames = 0

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._frames = 0
        self._in_body = False
        if self.cycle.response_complete:
            # uvicorn waited for the next request, and took the end of this one's body for it.
            self._set_deadline(self._limits.idle_seconds)
        else:
            self._end_deadline()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(self._limits.unread_seconds, self._stop_waiting)

    def resume_writing(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        self._reject(400, msg)

    def _limit_head(self) -> None:
        self._in_body = False
        self._set_deadline(self._limits.head_seconds)

    def _set_deadline(self, seconds: float) -> None:
        self._end_deadline()
        self._deadline = self.loop.call_later(seconds, self._on_deadline, seconds)

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _on_deadline(self, seconds: float) -> None:
        if self.flow.read_paused:  # The service doesn't read, so the client isn't late.
            self._set_deadline(seconds)
        elif self._in_body or self._frames:
            self._reject(408, f"The request didn't arrive within {seconds:g} s")
        else:
            self.transport.close()

    def _stop_waiting(self) -> None:
        self._log_end(f"the response was left unread for {self._limits.unread_seconds:g} s")
        self.transport.abort()

    def _reject(self, status: int, reason: str) -> None:
        """Answer with the reason if no other response is under way, and end the connection."""
        self._log_end(reason, status)
        self._rejected = True
        self._end_deadline()
        if self._can_answer():
            self.transport.write(_response(status, reason))
            self.transport.write_eof()
            self.loop.call_later(self._limits.linger_seconds, self.transport.close)
        else:
            self.transport.close()
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _can_answer(self) -> bool:
        if self.cycle is None or self.cycle.response_complete:
            return True
        return self._in_body and not self.cycle.response_started and not self.pipeline

    def _log_end(self, reason: str, status: int | None = None) -> None:
        address = self.client[0] if self.client else None
        log.info("connection-ended", address=address, status=status, reason=reason)


def _response(status: int, reason: str) -> bytes:
    answer = messages_answer(status, reason)
    lines = [b"%s: %s\r\n" % header for header in (*answer.raw_headers, (b"connection", b"close"))]
    return STATUS_LINE[status] + b"".join(lines) + b"\r\n" + bytes(answer.body)
