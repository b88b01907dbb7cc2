"""The JSON of datasets, products and files in rs-catalog and rs-dam (remote-services.md 2.4, 2.9)."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import quote

from rs_order.sandbox.faults import Faults, concerns
from rs_order.sandbox.products import (
    ARCHIVED_AT,
    DataFile,
    Dataset,
    Location,
    Product,
    PropertyValue,
    urn_for,
    virtual_urn,
)
from rs_order.sandbox.service_protocol import date


class EntityWriter:
    """Writes entities for one caller, with the caller's tenant and URLs that the caller can reach."""

    def __init__(self, tenant: str, base_url: str, faults: Faults) -> None:
        self._tenant = tenant
        self._base_url = base_url.rstrip("/")
        self._faults = faults

    def product(self, product: Product, *, raw_data: bool = True) -> dict[str, Any]:
        """Return a product feature. Callers without access to raw data don't see RAWDATA files (2.6)."""
        urn = urn_for(self._tenant, product.urn)
        files = [file for file in product.files if raw_data or file.type != "RAWDATA"]
        return {
            "entityType": "DATA",
            "id": urn,
            "virtualId": virtual_urn(urn),
            "providerId": product.provider_id,
            "version": product.version,
            "last": True,
            "label": product.provider_id,
            "model": product.dataset.model,
            "tags": [urn_for(self._tenant, product.dataset.urn), product.dataset.id],
            "geometry": None,
            "properties": {name: _json(value) for name, value in product.properties.items()}
            | {"dataset": product.dataset.id},
            "files": self._files(files, urn, product.dataset),
            "type": "Feature",
        }

    def dataset_feature(self, dataset: Dataset, *, with_files: bool) -> dict[str, Any]:
        urn = urn_for(self._tenant, dataset.urn)
        return {
            "entityType": "DATASET",
            "id": urn,
            "providerId": dataset.id,
            "version": 1,
            "label": dataset.label,
            "model": f"dataset_{dataset.model}",
            "files": self._files(dataset.files, urn, dataset) if with_files else {},
            "tags": [],
            "properties": {},
            "last": True,
            "type": "Feature",
        }

    def dataset_entity(self, dataset: Dataset) -> dict[str, Any]:
        """Return the raw entity of rs-dam, without hypermedia envelope."""
        model = {"id": 1, "name": f"dataset_{dataset.model}", "type": "DATASET"}
        return {
            "type": "DATASET",
            "id": 1,
            "ipId": urn_for(self._tenant, dataset.urn),
            "creationDate": date(ARCHIVED_AT),
            "lastUpdate": date(ARCHIVED_AT),
            "tags": [],
            "groups": [],
            "model": model,
            "feature": self.dataset_feature(dataset, with_files=True),
        }

    def _files(
        self, files: list[DataFile] | tuple[DataFile, ...], urn: str, dataset: Dataset
    ) -> dict[str, list[dict[str, Any]]]:
        by_type: dict[str, list[dict[str, Any]]] = {}
        for file in files:
            by_type.setdefault(file.type, []).append(self._file(file, urn, dataset))
        return by_type

    def _file(self, file: DataFile, urn: str, dataset: Dataset) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "dataType": file.type,
            "reference": file.location is Location.EXTERNAL,
            "online": file.location is not Location.NEARLINE,
            "uri": self._uri(file, urn, dataset),
            "filename": file.filename,
            "mimeType": file.mime_type,
            "types": [],
        }
        if file.publishes_size and not concerns(self._faults.without_filesize, file.checksum):
            entry["filesize"] = file.size
        if file.publishes_checksum:
            entry |= {"checksum": file.checksum, "digestAlgorithm": "MD5"}
        return entry

    def _uri(self, file: DataFile, urn: str, dataset: Dataset) -> str:
        if file.location is Location.EXTERNAL:
            return f"{self._base_url}/external/{quote(dataset.id)}/{quote(file.filename)}"
        stored = f"{self._base_url}/rs-catalog/downloads/{urn}/files/{file.checksum}"
        return f"{stored}/dam" if file.location is Location.DAM else stored


def _json(value: PropertyValue) -> Any:
    return date(value) if isinstance(value, datetime) else value
