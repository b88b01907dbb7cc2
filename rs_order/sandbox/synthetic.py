"""Generated datasets: any number of products, calculated from their position.

Names, sizes, URNs and contents depend on the dataset's name and the position only. A restart gives the
same archive, and a million products take no memory. Only the file of a checksum can't be calculated;
``ChecksumTable`` stores it in a few bytes a file.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import BaseModel, Field

from rs_order.sandbox.products import (
    ARCHIVED_AT,
    DataFile,
    Dataset,
    GeneratedContent,
    Location,
    Product,
    urn_key,
)
from rs_order.sandbox.query import Query
from rs_order.sandbox.query_matchers import ProductFields, SharedFields

_PREFIX_BYTES = 8


class ChecksumTable:
    """Maps checksums to file numbers in 8 to 16 bytes a file (open addressing).

    A slot holds a file number plus one. The table doesn't store checksums: its user can calculate
    the checksum of any file, and verifies the candidates with it.
    """

    def __init__(self, files: int) -> None:
        slots = 1 << (2 * files).bit_length()
        self._mask = slots - 1
        self._slots = array("I", bytes(4 * slots))

    def put(self, checksum: str, number: int) -> None:
        slot = self._start(checksum)
        while self._slots[slot] not in (0, number + 1):
            slot = (slot + 1) & self._mask
        self._slots[slot] = number + 1

    def candidates(self, checksum: str) -> list[int]:
        """Return the numbers of the files that may have the checksum."""
        slot, found = self._start(checksum), []
        while number := self._slots[slot]:
            found.append(number - 1)
            slot = (slot + 1) & self._mask
        return found

    def _start(self, checksum: str) -> int:
        return int(checksum[: 2 * _PREFIX_BYTES], 16) & self._mask


_DIGITS = 7
_FIRST_DATE = datetime(2020, 1, 1, tzinfo=UTC)
_URN_POSITION = re.compile(r"-([0-9a-f]{12}):V1$")
_SLICE = 2_000
"""Products compared or hashed before other tasks may run."""
_MAX_SELECTIONS = 16
_DIRECT_HASH_BYTES = 1024 * 1024
"""Contents up to this size are hashed when needed; larger ones once, in a thread."""


class SyntheticDataset(BaseModel):
    """A dataset to generate."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_\-]{0,63}$")]
    """Also its id in the catalog. Its products are ``SYN_<name>_0000001``, ``SYN_<name>_0000002``, …"""
    label: str | None = None
    """None for a label with the name. Labels may be equal or empty."""
    products: Annotated[int, Field(ge=1, le=10_000_000)]
    size: Annotated[int, Field(ge=0)] = 1024
    """Bytes of each file."""
    types: Annotated[list[str], Field(min_length=1)] = ["RAWDATA"]
    """One file of each type in each product."""
    location: Location = Location.NEARLINE
    created: datetime = ARCHIVED_AT
    """Catalog creation date of its products; a search with an earlier limit doesn't find them."""


class SyntheticHolding:
    """The products of a generated dataset."""

    uniform = True
    contiguous = True
    field_names = frozenset(("date", "index"))

    def __init__(self, spec: SyntheticDataset) -> None:
        self._spec = spec
        self._digest = hashlib.sha256(spec.name.encode()).hexdigest()
        self._table = ChecksumTable(spec.products * len(spec.types))
        self._table_complete = False
        self._selections: OrderedDict[tuple[Query, str], Sequence[int]] = OrderedDict()
        self._large_checksums: dict[int, str] = {}
        self._fill_lock = asyncio.Lock()
        self.dataset = Dataset(
            id=spec.name,
            label=f"Generated dataset {spec.name}" if spec.label is None else spec.label,
            urn=f"URN:AIP:DATASET:demo:{self._uuid(0)}:V1",
        )

    @classmethod
    async def create(cls, spec: SyntheticDataset) -> SyntheticHolding:
        """Create a dataset that is ready to be served. Hashing large contents takes a while."""
        holding = cls(spec)
        if spec.size > _DIRECT_HASH_BYTES:
            for number in range(spec.products * len(spec.types)):
                # in a thread, because hashing gigabytes would block the loop
                digest = await asyncio.to_thread(holding._content(number).md5)
                holding._large_checksums[number] = digest
        return holding

    def __len__(self) -> int:
        return self._spec.products

    def product(self, position: int) -> Product:
        first = position * len(self._spec.types)
        files = tuple(self._file(first + at) for at in range(len(self._spec.types)))
        return self._product(position, files)

    def _product(self, position: int, files: tuple[DataFile, ...]) -> Product:
        return Product(
            provider_id=self._provider_id(position),
            urn=self._urn(position),
            version=1,
            dataset=self.dataset,
            files=files,
            properties={
                "date": _FIRST_DATE + timedelta(seconds=position),
                "index": position + 1,
            },
            created=self._spec.created,
        )

    async def select(self, query: Query, tenant: str) -> Sequence[int]:
        shared = query.decide(SharedFields(self.product(0), tenant))
        if shared is not None:
            return range(len(self)) if shared else ()
        key = (query, tenant)
        if key not in self._selections:
            self._selections[key] = await self._scan(query, tenant)
            if len(self._selections) > _MAX_SELECTIONS:
                self._selections.popitem(last=False)
        return self._selections[key]

    def position_of(self, urn: str) -> int | None:
        found = _URN_POSITION.search(urn)
        position = int(found[1], 16) if found else -1
        exact = 0 <= position < len(self) and urn_key(self._urn(position)) == urn_key(urn)
        return position if exact else None

    async def stored_file(self, checksum: str) -> DataFile | None:
        if not self._spec.location.in_storage or not _is_md5(checksum):
            return None
        return self._known_file(checksum) or await self._unseen_file(checksum)

    def file_named(self, filename: str) -> DataFile | None:
        stem, _, kind = filename.removesuffix(".dat").rpartition(".")
        position = self._position_named(stem)
        if position is None or kind.upper() not in self._spec.types:
            return None
        number = position * len(self._spec.types) + self._spec.types.index(kind.upper())
        return self._file(number)

    async def _scan(self, query: Query, tenant: str) -> Sequence[int]:
        # a file is hashed when it is built, so only queries about files build them
        view = self.product if "rawdata" in query.names() else self._bare_product
        candidates = self._candidates(query)
        found = array("I")
        for start in range(0, len(candidates), _SLICE):
            found.extend(
                position
                for position in candidates[start : start + _SLICE]
                if query.decide(ProductFields(view(position), tenant))
            )
            await asyncio.sleep(0)
        return found

    def _bare_product(self, position: int) -> Product:
        return self._product(position, ())

    def _candidates(self, query: Query) -> Sequence[int]:
        """Return the positions that a query may select: by product ids if it names them, otherwise all."""
        names = query.provider_ids()
        if names is None or any(len(name) != len(self._provider_id(0)) for name in names):
            return range(len(self))
        return sorted(at for name in names if (at := self._position_named(name)) is not None)

    def _position_named(self, provider_id: str) -> int | None:
        prefix, _, index = provider_id.rpartition("_")
        if prefix != f"SYN_{self._spec.name}" or not index.isdecimal():
            return None
        position = int(index) - 1
        exact = 0 <= position < len(self) and self._provider_id(position) == provider_id
        return position if exact else None

    def _known_file(self, checksum: str) -> DataFile | None:
        for number in self._table.candidates(checksum):
            file = self._file(number)
            if file.checksum == checksum:
                return file
        return None

    async def _unseen_file(self, checksum: str) -> DataFile | None:
        """Find a file that no page has contained yet, for example after a restart."""
        async with self._fill_lock:
            if not self._table_complete:
                await self._fill_table()
        return self._known_file(checksum)

    async def _fill_table(self) -> None:
        for start in range(0, len(self) * len(self._spec.types), _SLICE):
            stop = min(start + _SLICE, len(self) * len(self._spec.types))
            for number in range(start, stop):
                self._file(number)
            await asyncio.sleep(0)
        self._table_complete = True

    def _file(self, number: int) -> DataFile:
        position, at = divmod(number, len(self._spec.types))
        kind = self._spec.types[at]
        return DataFile(
            type=kind,
            filename=f"{self._provider_id(position)}.{kind.lower()}.dat",
            size=self._spec.size,
            mime_type="application/octet-stream",
            checksum=self._checksum(number),
            location=self._spec.location,
            content=self._content(number),
        )

    def _checksum(self, number: int) -> str:
        large = self._large_checksums.get(number)
        checksum = large if large is not None else self._content(number).md5()
        self._table.put(checksum, number)
        return checksum

    def _content(self, number: int) -> GeneratedContent:
        return GeneratedContent(f"{self._spec.name}:{number}", self._spec.size)

    def _provider_id(self, position: int) -> str:
        return f"SYN_{self._spec.name}_{position + 1:0{_DIGITS}d}"

    def _urn(self, position: int) -> str:
        return f"URN:AIP:DATA:demo:{self._uuid(position)}:V1"

    def _uuid(self, position: int) -> str:
        """Return a UUID that ends with the position, so that products sort by their numbers."""
        head = self._digest
        return f"{head[:8]}-{head[8:12]}-5{head[12:15]}-8{head[15:18]}-{position:012x}"


def _is_md5(checksum: str) -> bool:
    return re.fullmatch("[0-9a-f]{32}", checksum) is not None
