"""Responses whose body is produced while it is sent, and their file names (rest.md 10.1, RFC 6266)."""

import asyncio
import re
import unicodedata
from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from datetime import datetime
from typing import Final
from urllib.parse import quote

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from rs_order.domain.files import UNKNOWN_MIME_TYPE
from rs_order.domain.ids import OrderId
from rs_order.downloads.entry_names import name_of, safe_name
from rs_order.downloads.order_zip import OrderDeleted
from rs_order.downloads.settle import Settle
from rs_order.downloads.single_file import Delivery, FileReport, FileRequest, deliver
from rs_order.ports import FetchError, FileSources, SourceAnswer

_NOT_PLAIN: Final = re.compile(r"[^ !#$&\'()+,\-.0-9:;<=>@A-Z\[\]^_`a-z{|}~]")
"""Quotes, backslashes, percent signs, stars: what clients read in different ways, or not at all."""


def name_for_order(order_id: OrderId, at: datetime, extension: str) -> str:
    """What is sent of a whole order is called: no ``:``, which not every file system takes (decisions.md)."""
    return f"order_{order_id}_{at:%Y-%m-%dT%H-%M-%S.%f}Z.{extension}"


def attachment(name: str) -> str:
    """The header for a name in any script; it can hold neither folders nor a header of its own.

    What isn't plain ASCII comes twice: as near as ASCII gets, for old clients, and as it is.
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


OnEnd = Callable[[bool], None]
"""Told whether everything was sent."""


class Streamed(Response):
    """An answer in the making, which stops when the client has gone."""

    def __init__(self, headers: Mapping[str, str], on_end: OnEnd) -> None:
        super().__init__(headers=headers)
        if "Content-Length" not in headers:
            del self.headers["Content-Length"]
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - given by ASGI
        sending = asyncio.create_task(self._send_all(send))
        gone = asyncio.create_task(_until_gone(receive))
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended = sending.done()
            gone.cancel()
            sending.cancel()
            await asyncio.wait({sending, gone})
            self._on_end(ended and sending.exception() is None and sending.result())
        if ended:
            sending.result()

    @abstractmethod
    async def _send_all(self, send: Send) -> bool:
        """Send the answer, from its head to its end.

        False when it was left without an end on purpose: the server then closes the connection, so that
        the client doesn't take what it has for the whole.
        """

    async def _send_head(self, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )

    async def _send_pieces(self, send: Send, body: AsyncGenerator[bytes, None]) -> None:
        """Send what a generator gives, as fast as the client takes it.

        The generator is resumed after its last piece only when all were taken by a client that was
        still there; whatever else happens, it is closed where it stands.
        """
        async with aclosing(body) as pieces:
            async for piece in pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                # The server forgets pieces for a client who has gone and doesn't say so. Let the
                # news arrive before the generator is told that its piece was taken.
                await asyncio.sleep(0)

    async def _send_end(self, send: Send) -> None:
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class StreamedDownload(Streamed):
    """Sends a generator's pieces as an attachment; it is cut when the order goes meanwhile."""

    def __init__(
        self,
        body: AsyncGenerator[bytes, None],
        filename: str,
        on_end: OnEnd = lambda _: None,
        media_type: str = "application/octet-stream",
    ) -> None:
        headers = {"Content-Disposition": attachment(filename), "Content-Type": media_type}
        super().__init__(headers, on_end)
        self._body = body

    async def _send_all(self, send: Send) -> bool:
        await self._send_head(send)
        try:
            await self._send_pieces(send, self._body)
        except OrderDeleted:
            return False
        await self._send_end(send)
        return True


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


_MIME_TYPE: Final = re.compile(r"[\w.+\-]+/[\w.+\-]+(; ?[\w.+\-]+=[\w.+\-]+)*", re.ASCII)
_NOT_YET: Final = 202
_TOO_MANY: Final = 429
_FAILURES: Final = range(400, 600)


class StreamedFile(Streamed):
    """Sends a file; or why there is none, as long as nothing of it was sent.

    Once something was, a failure cuts the answer: it is never completed with bytes that aren't right.
    """

    def __init__(
        self,
        settle: Settle,
        sources: FileSources,
        request: FileRequest,
        report: FileReport,
        on_end: OnEnd,
    ) -> None:
        super().__init__({}, on_end)
        self._settle = settle
        self._sources = sources
        self._request = request
        self._report = report

    async def _send_all(self, send: Send) -> bool:
        begun = False
        try:
            async with deliver(
                self._settle, self._sources, self._request, self._report
            ) as delivery:
                self.headers.update(_headers(delivery))
                begun = True
                await self._send_head(send)
                await self._send_pieces(send, delivery.pieces())
        except FetchError as error:
            if begun:
                return False
            await self._send_instead(send, _explanation(error))
            return True
        await self._send_end(send)
        return True

    async def _send_instead(self, send: Send, answer: Response) -> None:
        self.status_code, self.raw_headers = answer.status_code, answer.raw_headers
        await self._send_head(send)
        await send({"type": "http.response.body", "body": answer.body, "more_body": False})


def _headers(delivery: Delivery) -> dict[str, str]:
    """What is said of the file: its size as the catalog has it, so that a short file shows.

    Its name is the order's: storage knows files by their content, and of two that have the same it tells
    the name of one. A server outside the platform may tell a length, and nothing else.
    """
    file, said = delivery.file, delivery.headers
    headers = {} if file.external else dict(said)
    length = file.size if file.size is not None else said.get("Content-Length")
    if length is not None:
        headers["Content-Length"] = str(length)
    of_catalog = file.mime_type if _MIME_TYPE.fullmatch(file.mime_type or "") else None
    headers["Content-Type"] = headers.get("Content-Type") or of_catalog or UNKNOWN_MIME_TYPE
    headers["Content-Disposition"] = attachment(name_of(file))
    return headers


def _explanation(error: FetchError) -> Response:
    """What storage or dam said, passed on; 500 where they said nothing, or nothing that makes sense."""
    answer = error.answer
    if answer is None or not (answer.status == _NOT_YET or answer.status in _FAILURES):
        return Response(status_code=500)
    if answer.status == _TOO_MANY and not answer.body.strip():
        return Response(error.reason, answer.status, media_type="text/plain")
    return Response(answer.body, answer.status, _without_length(answer))


def _without_length(answer: SourceAnswer) -> Mapping[str, str]:
    """Its headers but for the length: the body may have been cut."""
    return {name: value for name, value in answer.headers.items() if name != "Content-Length"}
