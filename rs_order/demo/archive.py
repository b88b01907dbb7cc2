"""Read the manifest of an archive, which lists the files that the orders of the demo must bring.

The sandbox has a reader of its own. The demo doesn't share it, so that it can find a mistake in it.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rs_order.demo.errors import DemoError

MANIFEST = "manifest.json"


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True)


class File(_Entry):
    """A file of a product, or one attached to a dataset."""

    type: str
    name: str = Field(alias="filename")
    size: int
    location: Literal["nearline", "online", "external", "dam"]
    md5: str

    @property
    def is_quicklook(self) -> bool:
        return self.type.startswith("QUICKLOOK")

    @property
    def is_orderable(self) -> bool:
        return self.type == "RAWDATA" or self.is_quicklook


class Product(_Entry):
    urn: str
    files: tuple[File, ...]

    @property
    def ordered(self) -> tuple[File, ...]:
        """The files of an order without filters."""
        return tuple(file for file in self.files if file.is_orderable)

    def is_stored_only_at(self, *locations: str) -> bool:
        """True if it has files to order, and all of them are at these locations."""
        return bool(self.ordered) and all(file.location in locations for file in self.ordered)


class Dataset(_Entry):
    id: str
    products: tuple[Product, ...]
    attached: tuple[File, ...] = Field((), alias="files")


class Archive(_Entry):
    datasets: tuple[Dataset, ...]


def read_archive(folder: Path) -> Archive:
    """Return the content of an archive folder.

    Raises:
        DemoError: there is no manifest, or it is malformed.
    """
    path = folder / MANIFEST
    try:
        return Archive.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DemoError(
            f"{path} can't be read ({error.strerror}): give a folder with a {MANIFEST}"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DemoError(f"{path} is malformed at {where}: {first['msg']}") from error
