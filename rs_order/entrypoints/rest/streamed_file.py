"""The answer to who asks for the bytes of one file (rest.md 10.1)."""

import re
from collections.abc import Mapping
from typing import Final

from fastapi import Response
from starlette.types import Send

from rs_order.application.download import Delivery, FileReport, FileRequest, deliver
from rs_order.application.download.entry_names import name_of
from rs_order.application.settle_downloads import Settle
from rs_order.domain.files import UNKNOWN_MIME_TYPE
from rs_order.entrypoints.rest.content_disposition import attachment
from rs_order.entrypoints.rest.streaming import OnEnd, Streamed
from rs_order.ports.downloads import FetchError, FileSources, SourceAnswer

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
