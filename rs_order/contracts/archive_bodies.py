"""The bodies of archives (faces.md R-8)."""

from typing import Literal

from pydantic import ConfigDict, Field

from rs_order.contracts.wire import Instant, WireModel


class ArchiveRequestDto(WireModel):
    """The archive to make."""

    format: Literal["zip", "tar"] = Field(
        "zip",
        description="A tar has no checksums of its content, so all of its parts can be sent at any time.",
    )


class ArchiveDto(WireModel):
    """An archive of an order's files. Its bytes never change."""

    model_config = ConfigDict(populate_by_name=True)

    id: str = Field(examples=["a7"])
    format: Literal["zip", "tar"]
    state: Literal["open", "superseded"]
    files: int = Field(description="Files that are in it.", examples=[185])
    bytes: int = Field(description="Bytes of these files.", examples=[40802189312])
    length: int = Field(description="Bytes of the archive.", examples=[40805312345])
    etag: str = Field(examples=['"z1-k3v…"'])
    created: Instant
    href: str = Field(description="Where to download it, also in parts.")
    public_href: str | None = Field(
        None,
        alias="publicHref",
        description="The same for programs that can't send a bearer token.",
    )


class ArchiveListDto(WireModel):
    """The archives of an order, the newest first."""

    archives: list[ArchiveDto]
