"""Manifests of orders and archives: their files, with what is known of their content (faces.md M-8)."""

from pydantic import ConfigDict, Field

from rs_order.contracts.wire import Instant, WireModel
from rs_order.domain.states import FileState


class DescribedFileDto(WireModel):
    """A file with what is known of its content."""

    name: str = Field(description="Unique in the order or archive.", examples=["p1.nc"])
    product: str = Field(examples=["S2A_20250101"])
    size: int | None = Field(description="Bytes.", examples=[42000])
    md5: str | None = Field(examples=["241b5dffd6635f4de0cd2ff728f010c8"])
    sha256: str | None = Field(description="Of the catalog, or proven by a download.")
    crc32: str | None = Field(description="Proven by a download.", examples=["0b1c2d3e"])
    state: FileState
    verified: Instant | None = Field(
        description="When a download last proved that the bytes have the checksum of the catalog."
    )


class ManifestFileDto(DescribedFileDto):
    """A file that didn't fail."""

    url: str = Field(description="Needs no token beside it, until the order expires.")


class ArchivedFileDto(DescribedFileDto):
    """A file in an archive."""

    assembled: bool = Field(
        description="True if storage delivered it in parts, and no download has compared all of it with the "
        "checksum of the catalog. Then `verified` is null, and `crc32` is that of the bytes in the archive."
    )


class FailedFileDto(WireModel):
    """A file that can't be had."""

    name: str = Field(examples=["p2.nc"])
    product: str = Field(examples=["S2A_20250101"])
    code: str | None = Field(examples=["storage-refused"])
    detail: str | None


class ManifestDto(WireModel):
    """The files of an order."""

    model_config = ConfigDict(title="Manifest")

    order: int = Field(examples=[12])
    generated: Instant
    files: list[ManifestFileDto]
    failed: list[FailedFileDto]


class MissingFileDto(WireModel):
    """A file that had failed when the archive was made."""

    name: str = Field(examples=["p2.nc"])
    code: str | None = Field(examples=["storage-refused"])
    detail: str | None


class ArchiveManifestDto(WireModel):
    """The files of an archive."""

    model_config = ConfigDict(title="Manifest of an archive")

    archive: str = Field(examples=["a7"])
    order: int = Field(examples=[12])
    generated: Instant
    files: list[ArchivedFileDto] = Field(description="Under their names in the archive.")
    failed: list[MissingFileDto] = Field(description="Those that `NOTICE.txt` names.")
