"""Products and files of a catalog, for tests of rules."""

from itertools import count
from uuid import NAMESPACE_URL, uuid5

from rs_order.domain.files import CatalogFile, DataType, Product
from rs_order.domain.ids import Checksum, Urn

MEBIBYTE = 1024 * 1024
_numbers = count()


def a_file(
    size: int | None = 100,
    *,
    name: str | None = None,
    external: bool = False,
    data_type: DataType = DataType.RAWDATA,
    checksum: str | None = "",
    url: str | None = None,
) -> CatalogFile:
    """Return a file with a unique name and checksum; ``checksum=None``: the catalog has none."""
    name = name or f"file_{next(_numbers)}.dat"
    known = uuid5(NAMESPACE_URL, name).hex if checksum == "" else checksum
    return CatalogFile(
        data_type=data_type,
        name=name,
        url=url or f"http://archive.example.org/{name}",
        external=external,
        size=size,
        checksum=Checksum(known) if known is not None else None,
        checksum_algorithm="MD5" if known is not None else None,
        mime_type="application/octet-stream",
        online=False,
    )


def a_product(*files: CatalogFile) -> Product:
    number = next(_numbers)
    urn = Urn(f"URN:AIP:DATA:demo:{uuid5(NAMESPACE_URL, str(number))}:V1")
    return Product(urn, f"product_{number}", 1, files)
