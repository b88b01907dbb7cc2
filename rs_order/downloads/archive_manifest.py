"""Writes manifests of archives: their files with hashes, and those that had failed (faces.md M-8)."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from rs_order.domain.archives import Archive, Entry, Page
from rs_order.domain.ids import Tenant
from rs_order.domain.instants import wire_instant
from rs_order.downloads.entry_names import one_line
from rs_order.downloads.list_formats import described
from rs_order.downloads.order_zip import OrderDeleted
from rs_order.ports import ListedFile
from rs_order.store.archives import Archives


async def archive_manifest(
    archives: Archives, tenant: Tenant, archive: Archive, at: datetime
) -> AsyncGenerator[bytes, None]:
    """Yield the manifest piece by piece, one for each page of the archive.

    Raises:
        OrderDeleted: the order was deleted or expired, so files are missing.
    """
    known = {
        "archive": f"a{archive.id}",
        "order": archive.order_id,
        "generated": wire_instant(at),
    }
    yield orjson.dumps(known)[:-1] + b',"files":['
    begun = False
    async for files in _files(archives, tenant, archive):
        yield _items(files, begun=begun)
        begun = True
    yield b'\n],"failed":['
    begun = False
    async for failed in _failed(archives, tenant, archive):
        yield _items(failed, begun=begun)
        begun = True
    yield b"\n]}\n"


def _items(values: Sequence[Mapping[str, Any]], *, begun: bool) -> bytes:
    return (b"," if begun else b"") + b",".join(b"\n" + orjson.dumps(value) for value in values)


async def _files(
    archives: Archives, tenant: Tenant, archive: Archive
) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
    number = 0
    while page := await archives.page(tenant, archive.id, number):
        yield await _of_page(archives, tenant, archive, page)
        number += 1


async def _of_page(
    archives: Archives, tenant: Tenant, archive: Archive, page: Page
) -> Sequence[Mapping[str, Any]]:
    entries = [entry for entry in page.entries if not entry.is_notice]
    ids = [entry.file_id for entry in entries]
    listed = await archives.listed(tenant, archive, ids)
    if len(listed) < len(entries):
        raise OrderDeleted
    return [_of_entry(entry, listed[entry.file_id]) for entry in entries]


def _of_entry(entry: Entry, listed: ListedFile) -> Mapping[str, Any]:
    """Describe an entry. What was proven of its file doesn't count if the archive sent other bytes."""
    known, file = described(entry.name, listed), listed.file
    if file.is_assembled:
        known.update(crc32=f"{file.assembled_crc32:08x}", verified=None)
    return {**known, "assembled": file.is_assembled}


async def _failed(
    archives: Archives, tenant: Tenant, archive: Archive
) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
    number = 0
    while page := await archives.notice(tenant, archive.id, number):
        if page.failed:
            yield [
                {
                    "name": one_line(one.name),
                    "code": one.code,
                    "detail": one.reason and one_line(one.reason),
                }
                for one in page.failed
            ]
        number += 1
