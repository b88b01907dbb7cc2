"""Responses whose body is produced while it is sent, and their file names (rest.md 10.1, RFC 6266)."""

import asyncio
import re
import time
import unicodedata
from abc import abstractmethod
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractContextManager, aclosing, nullcontext
from datetime import datetime
from math import ceil
from typing import Final
from urllib.parse import quote

from prometheus_client import Counter, Gauge
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from rs_order.domain.files import UNKNOWN_MIME_TYPE
from rs_order.domain.ids import OrderId
from rs_order.domain.parts import Part
from rs_order.downloads.checksums import algorithm_of
from rs_order.downloads.entry_names import name_of, safe_name
from rs_order.downloads.order_zip import OrderDeleted
from rs_order.downloads.readings import SkippingAhead
from rs_order.downloads.single_file import FileDeliveries, FileReport, FileRequest
from rs_order.ports import FetchError, FileToDownload, SourceAnswer
from rs_order.rest.errors import messages_answer
from rs_order.rest.middleware import is_head
from rs_order.rest.ranges import Representation

_NOT_PLAIN: Final = re.compile(r"[^ !#$&\'()+,\-.0-9:;<=>@A-Z\[\]^_`a-z{|}~]")
"""Characters that clients read differently or not at all: quotes, backslashes, percent signs, stars."""
_MIME_TYPE: Final = re.compile(r"[\w.+\-]+/[\w.+\-]+(; ?[\w.+\-]+=[\w.+\-]+)*", re.ASCII)
_AS_IT_IS: Final = "private, no-transform"
"""No shared cache keeps a download, and no proxy compresses it: ranges and checksums are of these bytes."""
_PARTIAL: Final = 206
_NOT_YET: Final = 202
_TOO_MANY: Final = 429
_FAILURES: Final = range(400, 600)

LONGEST_SILENCE: Final = 45.0
"""Seconds for which the source of a response may be silent. The gateway cuts after 60 (faces.md R-24)."""
SILENT: Final = (
    "Storage has been silent for too long. Try again later; the download goes on where it stopped."
)

_under_way = Gauge("rs_order_downloads", "Downloads under way", ["kind"])
_bytes = Counter("rs_order_download_bytes", "Bytes sent of downloads", ["kind"])

OnEnd = Callable[[bool], None]
"""Called at the end of a response with True if everything was sent."""


class SourceSilent(Exception):
    """The source of a response has sent nothing for too long."""

    code = "source-silent"


class Streamed(Response):
    """A response that is produced while it is sent, and stops when the client disconnects."""

    def __init__(
        self,
        kind: str,
        headers: Mapping[str, str],
        on_end: OnEnd,
        permit: AbstractContextManager[None] | None = None,
        *,
        longest_silence: float | None = None,
    ) -> None:
        """Set how to send.

        Args:
            kind: ``zip``, ``metalink`` or ``file``, for the metrics.
            headers: the headers of the response.
            on_end: called at the end.
            permit: entered while the body is sent. It may raise the error to be sent instead.
            longest_silence: seconds after which a response is cut whose source is silent; None: never.
        """
        super().__init__(headers=headers)
        self._under_way, self._bytes = _under_way.labels(kind), _bytes.labels(kind)
        if "Content-Length" not in headers:
            del self.headers["Content-Length"]
        self._on_end = on_end
        self._permit = permit or nullcontext()
        self._longest_silence = longest_silence
        self._started = False
        """True once the head was sent."""
        self._silent_since: float | None = None
        """Since when the source is waited for; None while the client is."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_head(scope):
            await self._send_head(send)
            await self._send_end(send)
            return
        with self._permit, self._under_way.track_inprogress():
            await self._send_until_disconnected(receive, send)

    async def _send_until_disconnected(self, receive: Receive, send: Send) -> None:
        self._silent_since = time.monotonic()
        sending = asyncio.create_task(self._send_all(send))
        disconnected = asyncio.create_task(_until_disconnected(receive))
        silent = asyncio.create_task(self._until_silent())
        try:
            await asyncio.wait({sending, disconnected, silent}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended, too_late = sending.done(), silent.done()
            for task in (sending, disconnected, silent):
                task.cancel()
            await asyncio.wait({sending, disconnected, silent})
            self._on_end(ended and sending.exception() is None and sending.result())
        if ended:
            sending.result()
        elif too_late and not self._started:
            await self._send_error(send, self._silence_answer())

    async def _until_silent(self) -> None:
        """Return once the source was silent for too long. That a client reads slowly is no silence."""
        if self._longest_silence is None:
            await asyncio.Event().wait()
            return
        while (left := self._seconds_left(self._longest_silence)) > 0:  # noqa: ASYNC110 - each piece would signal
            await asyncio.sleep(left)

    def _seconds_left(self, longest_silence: float) -> float:
        if self._silent_since is None:
            return longest_silence
        return self._silent_since + longest_silence - time.monotonic()

    def _silence_answer(self) -> Response:
        """Return the response if the source is silent before anything was sent."""
        return messages_answer(503, SILENT)

    async def instead(self, of: "Streamed", send: Send) -> bool:
        """Send this response instead of another one, of which nothing was sent; return as ``_send_all``."""
        of.status_code = self.status_code
        complete = False
        try:
            complete = await self._send_all(send)
        finally:
            self._on_end(complete)
        return complete

    @abstractmethod
    async def _send_all(self, send: Send) -> bool:
        """Send the response from head to end; return False if the end was left out on purpose.

        The server then closes the connection, so that the client recognises the body as incomplete.
        """

    async def _send_head(self, send: Send) -> None:
        self._started = True
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )

    async def _send_pieces(self, send: Send, body: AsyncGenerator[bytes, None]) -> None:
        """Send the pieces of a generator as fast as the client receives them.

        The generator is resumed after its last piece only if a connected client has received all of them.
        Otherwise it is closed at the last piece.
        """
        async with aclosing(body) as pieces:
            async for piece in pieces:
                self._silent_since = None
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                self._bytes.inc(len(piece))
                # The server silently drops pieces for a client that has disconnected. Let the
                # disconnection be received before the generator is resumed.
                await asyncio.sleep(0)
                self._silent_since = time.monotonic()

    async def _send_error(self, send: Send, response: Response) -> None:
        self.status_code, self.raw_headers = response.status_code, response.raw_headers
        await self._send_head(send)
        await send({"type": "http.response.body", "body": response.body, "more_body": False})

    async def _send_end(self, send: Send) -> None:
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class StreamedDownload(Streamed):
    """Sends the pieces of a generator as an attachment; cuts it if the order is deleted or expires."""

    def __init__(
        self,
        body: AsyncGenerator[bytes, None],
        filename: str,
        kind: str,
        on_end: OnEnd = lambda _: None,
        media_type: str = "application/octet-stream",
        *,
        permit: AbstractContextManager[None] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        described = {"Content-Disposition": attachment(filename), "Content-Type": media_type}
        super().__init__(kind, {**described, **(headers or {})}, on_end, permit)
        self._body = body

    async def _send_all(self, send: Send) -> bool:
        await self._send_head(send)
        try:
            await self._send_pieces(send, self._body)
        except OrderDeleted:
            return False
        await self._send_end(send)
        return True


class StreamedPart(Streamed):
    """Sends a part of something whose bytes never change, or an error if it fails before any was sent."""

    def __init__(
        self,
        body: AsyncGenerator[bytes, None],
        what: Representation,
        part: Part | None,
        *,
        filename: str,
        kind: str,
        failed: Callable[[Exception], Response | None],
        on_end: OnEnd,
        permit: AbstractContextManager[None],
    ) -> None:
        """Set what to send.

        Args:
            body: the bytes of the part, or of everything.
            what: everything.
            part: None for everything.
            filename: for the client.
            kind: for the metrics.
            failed: returns the response to an error of ``body``, or None if it isn't an expected one. It is
                sent if nothing of the body was. If it streams, it counts as this download.
            on_end: called at the end.
            permit: as for `Streamed`.
        """
        headers = {
            **what.headers,
            "Content-Disposition": attachment(filename),
            "Content-Type": "application/octet-stream",
            "Content-Length": str(what.length if part is None else part.length),
            "Cache-Control": _AS_IT_IS,
        }
        super().__init__(kind, headers, on_end, permit, longest_silence=LONGEST_SILENCE)
        if part is not None:
            self.status_code = _PARTIAL
            self.headers["Content-Range"] = content_range(part, what.length)
        self._body = body
        self._failed = failed

    async def _send_all(self, send: Send) -> bool:
        try:
            await self._send_pieces(send, self._after_head(send))
        except Exception as error:
            answer = self._failed(error)
            if answer is None:
                raise
            if self._started:
                return False
            if isinstance(answer, Streamed):
                self._started, self._silent_since = True, None
                return await answer.instead(self, send)
            await self._send_error(send, answer)
            return True
        await self._send_end(send)
        return True

    def _silence_answer(self) -> Response:
        return self._failed(SourceSilent(SILENT)) or super()._silence_answer()

    async def _after_head(self, send: Send) -> AsyncGenerator[bytes, None]:
        """Yield the bytes; the head is sent when the first of them are known."""
        async with aclosing(self._body) as pieces:
            async for piece in pieces:
                if not self._started:
                    await self._send_head(send)
                yield piece


class StreamedFile(Streamed):
    """Sends a file or a part of it, or an error response if the file fails before any of it was sent.

    After that a failure cuts the response: it is never completed with wrong bytes.
    """

    def __init__(
        self,
        deliveries: FileDeliveries,
        request: FileRequest,
        report: FileReport,
        on_end: OnEnd,
        *,
        permit: AbstractContextManager[None] | None = None,
    ) -> None:
        super().__init__("file", {}, on_end, permit, longest_silence=LONGEST_SILENCE)
        self._deliveries = deliveries
        self._request = request
        self._report = report

    async def _send_all(self, send: Send) -> bool:
        try:
            async with self._deliveries.open(self._request, self._report) as delivery:
                self._describe(delivery.headers)
                await self._send_head(send)
                await self._send_pieces(send, delivery.pieces())
        except FetchError as error:
            if self._started:
                return False
            await self._send_error(send, _error_response(error))
            return True
        except SkippingAhead as error:
            if self._started:
                return False
            await self._send_error(send, _later(error))
            return True
        await self._send_end(send)
        return True

    def _describe(self, of_source: Mapping[str, str]) -> None:
        """Set status and headers to those of the file or its part."""
        file, part = self._request.file, self._request.part
        self.headers.update(headers_of(file, of_source))
        if part is not None:
            self.status_code = _PARTIAL
            self.headers["Content-Length"] = str(part.length)
            self.headers["Content-Range"] = content_range(part, file.size)


def content_range(part: Part, length: int | None) -> str:
    return f"bytes {part.start}-{part.end - 1}/{length}"


def representation_of(file: FileToDownload) -> Representation:
    """Return length and tag of a file.

    Two files with the same checksum have the same bytes. Without a checksum nothing proves that, so there is
    no tag, and the file can't be resumed.
    """
    if file.checksum is None or not file.checksum.isascii() or not file.checksum.isalnum():
        return Representation(file.size, None)
    algorithm = algorithm_of(file) or "checksum"
    return Representation(file.size, f'"{algorithm}-{file.checksum.lower()}"')


def headers_of(file: FileToDownload, of_source: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that describe a file.

    The length is that of the catalog, so that the client recognises a short file. The name is that of the
    order: storage identifies files by content, and names only one of two equal files. Of an external
    server's headers only the length is used.

    Args:
        file: the file.
        of_source: the headers of its source; none if it isn't open.
    """
    headers = {} if file.external else dict(of_source)
    length = file.size if file.size is not None else of_source.get("Content-Length")
    if length is not None:
        headers["Content-Length"] = str(length)
    of_catalog = file.mime_type if _MIME_TYPE.fullmatch(file.mime_type or "") else None
    headers["Content-Type"] = headers.get("Content-Type") or of_catalog or UNKNOWN_MIME_TYPE
    headers["Content-Disposition"] = attachment(name_of(file))
    of_content = {**representation_of(file).headers, **digest_headers(file)}
    return {**headers, **of_content, "Cache-Control": _AS_IT_IS}


def digest_headers(file: FileToDownload) -> dict[str, str]:
    """Return the SHA-256 of a file for its reader, if it is proven (faces.md M-6).

    ``Repr-Digest`` is the header of RFC 9530, ``Digest`` that of RFC 3230, which aria2 checks.
    """
    if file.proven_sha256 is None:
        return {}
    digest = b64encode(file.proven_sha256).decode()
    return {"Repr-Digest": f"sha-256=:{digest}:", "Digest": f"SHA-256={digest}"}


def _error_response(error: FetchError) -> Response:
    """Return the response of rs-storage or rs-dam if it is an error or a 202, else a 500 without a body."""
    answer = error.answer
    if answer is None or not (answer.status == _NOT_YET or answer.status in _FAILURES):
        return Response(status_code=500)
    if answer.status == _TOO_MANY and not answer.body.strip():
        return Response(error.reason, answer.status, media_type="text/plain")
    return Response(answer.body, answer.status, _without_length(answer))


def _later(error: SkippingAhead) -> Response:
    answer = messages_answer(503, str(error))
    answer.headers["Retry-After"] = str(ceil(error.seconds))
    return answer


def _without_length(answer: SourceAnswer) -> Mapping[str, str]:
    """Return its headers without the length, because the body may have been cut."""
    return {name: value for name, value in answer.headers.items() if name != "Content-Length"}


def name_for_order(order_id: OrderId, at: datetime, extension: str) -> str:
    """Return the file name for a whole order, without the ``:`` that some file systems reject."""
    return f"order_{order_id}_{at:%Y-%m-%dT%H-%M-%S.%f}Z.{extension}"


def attachment(name: str) -> str:
    """Return the ``Content-Disposition`` for a name in any script; it can't contain folders or other headers.

    A name that isn't plain ASCII is sent twice: approximated in ASCII for old clients, and as it is.
    """
    name = safe_name(name)
    plain = _NOT_PLAIN.sub("_", _without_accents(name))
    header = f'attachment; filename="{plain}"'
    if plain == name:
        return header
    return f"{header}; filename*=UTF-8''{quote(name, safe='')}"


def _without_accents(text: str) -> str:
    return "".join(
        character
        for character in unicodedata.normalize("NFKD", text)
        if not unicodedata.combining(character)
    )
