"""The bodies of archives (faces.md R-8)."""

from typing import Final, Literal

from pydantic import ConfigDict, Field

from rs_order.contracts.wire import Instant, Long, WireModel

MOST_SELECTED: Final = 10_000


class ArchiveRequestDto(WireModel):
    """The archive to make: of all files that are available now, or of a selection."""

    model_config = ConfigDict(populate_by_name=True)

    format: Literal["zip", "tar"] = Field(
        "zip",
        description="A tar has no checksums of its content, so all of its parts can be sent at any time.",
    )
    sub_order_ids: list[Long] | None = Field(
        None,
        alias="subOrderIds",
        max_length=MOST_SELECTED,
        description="Only the files of these sub-orders, and those of `fileIds`.",
        examples=[[31]],
    )
    file_ids: list[Long] | None = Field(
        None,
        alias="fileIds",
        max_length=MOST_SELECTED,
        description="Only these files, and those of `subOrderIds`.",
        examples=[[101, 102]],
    )


class ArchiveHashesDto(WireModel):
    """What is known of the content of an archive."""

    model_config = ConfigDict(populate_by_name=True)

    crc32_known: int = Field(
        alias="crc32Known",
        description="Entries whose CRC-32 is known. Once it is of all, any part can be sent at any time.",
        examples=[121],
    )


class ArchiveDto(WireModel):
    """An archive of an order's files. Its bytes never change."""

    model_config = ConfigDict(populate_by_name=True)

    id: str = Field(examples=["a7"])
    format: Literal["zip", "tar"]
    state: Literal["making", "open", "superseded"] = Field(
        description="`making`: it has many files, and is still being made."
    )
    files: int = Field(description="Files that are in it.", examples=[185])
    of: int | None = Field(
        description="Files that the order had when it was made; null: not known.", examples=[500]
    )
    missing: int = Field(
        description="Files that had failed before: `NOTICE.txt` in it names them.", examples=[2]
    )
    bytes: int = Field(description="Bytes of these files.", examples=[40802189312])
    length: int | None = Field(
        description="Bytes of the archive; null while it is being made.", examples=[40805312345]
    )
    etag: str | None = Field(description="Null while it is being made.", examples=['"z1-k3v…"'])
    created: Instant
    expires: Instant | None = Field(description="When it ends, with its order.")
    sent: float = Field(
        description="The part of it that was sent so far, from 0 to 1. Once it is 1, its files are "
        "DOWNLOADED.",
        examples=[0.37],
    )
    hashes: ArchiveHashesDto | None = Field(None, description="Not in lists.")
    href: str = Field(description="Where to download it, also in parts.")
    public_href: str | None = Field(
        None,
        alias="publicHref",
        description="The same for programs that can't send a bearer token.",
    )


class ArchiveListDto(WireModel):
    """The archives of an order, the newest first."""

    archives: list[ArchiveDto]
