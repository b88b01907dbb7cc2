"""Small archives for single tests, in the format of the packaged one (a folder with manifest.json)."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

MEBIBYTE = 1024 * 1024


@dataclass
class ArchiveMaker:
    """Builds an archive from datasets, products and files."""

    folder: Path
    datasets: dict[str, dict[str, Any]] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    """Content of each file by its name."""

    def dataset(self, name: str) -> dict[str, Any]:
        return self.datasets.setdefault(
            name,
            {
                "id": name,
                "label": f"Dataset {name}",
                "urn": f"URN:AIP:DATASET:demo:{uuid5(NAMESPACE_URL, name)}:V1",
                "products": [],
                "files": [],
            },
        )

    def product(
        self,
        dataset: str,
        name: str,
        files: int = 1,
        *,
        size: int = 1000,
        location: str = "nearline",
        data_type: str = "RAWDATA",
    ) -> list[str]:
        """Add a product with files of one type, and return their names."""
        described = [
            self._file(f"{name}_{number}.dat", size, location, data_type) for number in range(files)
        ]
        self.dataset(dataset)["products"].append(
            {
                "providerId": name,
                "urn": f"URN:AIP:DATA:demo:{uuid5(NAMESPACE_URL, dataset + name)}:V1",
                "version": 1,
                "date": "2024-01-01T00:00:00Z",
                "files": described,
            }
        )
        return [file["filename"] for file in described]

    def attach(self, dataset: str, name: str, location: str) -> None:
        """Attach a file to a dataset."""
        self.dataset(dataset)["files"].append(self._file(name, 500, location, "RAWDATA"))

    def _file(self, name: str, size: int, location: str, data_type: str) -> dict[str, Any]:
        content = (hashlib.sha256(name.encode()).digest() * (size // 32 + 1))[:size]
        self.contents[name] = content
        (self.folder / name).write_bytes(content)
        described: dict[str, Any] = {
            "type": data_type,
            "filename": name,
            "path": name,
            "size": size,
            "mimeType": "application/octet-stream",
            "location": location,
            "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
        }
        if location == "external":
            described["published"] = {"size": False, "md5": False}
        return described

    def give_same_content(self, first: str, second: str) -> None:
        """Give the second file the content of the first."""
        self.contents[second] = self.contents[first]
        (self.folder / second).write_bytes(self.contents[first])
        for dataset in self.datasets.values():
            for product in dataset["products"]:
                for file in product["files"]:
                    if file["filename"] == second:
                        file["md5"] = self.checksum(first)

    def write(self) -> Path:
        manifest = {
            "title": "A test",
            "source": "made by the test",
            "note": "",
            "datasets": list(self.datasets.values()),
        }
        (self.folder / "manifest.json").write_text(json.dumps(manifest))
        return self.folder

    def checksum(self, name: str) -> str:
        return hashlib.md5(self.contents[name], usedforsecurity=False).hexdigest()


def twelve_files(folder: Path) -> ArchiveMaker:
    """Three products of four files in one dataset, 12 files of 0.2 MiB: the fixture of fact 1."""
    maker = ArchiveMaker(folder)
    for number in range(3):
        maker.product("DS", f"P{number}", 4, size=MEBIBYTE // 5)
    return maker
