"""The faults of the sandbox. They are set at the start and can be changed while it runs.

A set of checksums may contain ``*``, which stands for every checksum.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

EVERY = "*"


class Service(StrEnum):
    CATALOG = "rs-catalog"
    STORAGE = "rs-storage"
    DAM = "rs-dam"
    PROCESSING = "rs-processing"
    ADMIN = "rs-admin"
    ADMIN_INSTANCE = "rs-admin-instance"
    AUTHENTICATION = "rs-authentication"
    """Gives tokens for passwords. It requires none."""
    EXTERNAL = "external"
    """The host of external files. It is no REGARDS service and requires no token."""


class OutageMode(StrEnum):
    """How a service fails."""

    DOWN = "down"
    """The connection is closed without a response."""
    STATUS = "status"
    """The status of the outage, with a REGARDS error body."""
    NONSENSE = "nonsense"
    """200 with a body that isn't JSON."""
    GARBAGE = "garbage"
    """200 with JSON of the wrong shape."""
    SLOW = "slow"
    """The correct response after ``seconds``."""
    EMPTY = "empty"
    """200 without a body."""
    HALF = "half"
    """The first half of the correct response; then the connection is closed."""


class Outage(BaseModel):
    """The failure of a service, for some calls or for all."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    mode: OutageMode
    status: Annotated[int, Field(ge=400, le=599)] = 503
    seconds: Annotated[float, Field(ge=0)] = 1.0
    calls: Annotated[int, Field(ge=0)] | None = None
    """The number of calls that still fail; None for all calls until the outage is removed."""


class Quota(BaseModel):
    """The download limits of one user in rs-storage. Only RAWDATA files count."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    max_files: Annotated[int, Field(ge=0)] | None = None
    max_rate: Annotated[int, Field(ge=0)] | None = None
    """Simultaneous downloads."""


class FaultError(Exception):
    """An option ``--fault`` is invalid. The message contains the option and the reason."""


class Faults(BaseModel):
    """All faults; by default there are none."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    nearline_seconds: Annotated[float, Field(ge=0)] = 2.0
    """The time that the restoration of a nearline file takes."""
    nearline_jitter: Annotated[float, Field(ge=0, le=1)] = 0.25
    """The fraction of that time by which files differ."""
    availability_scale: Annotated[float, Field(gt=0)] = 1.0
    """A factor for the hours of availability: with 0.001 an hour takes 3.6 s."""

    silence: bool = False
    """rs-storage answers no restoration request, except for files that are released."""
    silent_checksums: set[str] = set()
    storage_errors: dict[str, str] = {}
    """The message of the AVAILABILITY_ERROR by checksum."""
    duplicates: Annotated[int, Field(ge=1, le=100)] = 1
    """The number of times that each storage event and each execution result is sent."""
    then_error: set[str] = set()
    """An AVAILABILITY_ERROR follows the AVAILABLE of these files."""
    noise: Annotated[int, Field(ge=0, le=100)] = 0
    """The number of unrelated events (other types, other checksums) before each answer."""

    wrong_bytes: set[str] = set()
    """Downloads have the correct length and a wrong content."""
    truncated: set[str] = set()
    """Downloads have half of the bytes, and a Content-Length of that half."""
    cut: set[str] = set()
    """The connection is closed in the middle of the file."""
    without_length: set[str] = set()
    """No Content-Length."""
    slow_bytes_per_second: Annotated[float, Field(gt=0)] | None = None
    """The speed limit of each download."""
    quotas: dict[str, Quota] = {}
    """Limits by e-mail."""

    processing_seconds: Annotated[float, Field(ge=0)] = 0.0
    """The time that an execution takes."""
    processing_silence: bool = False
    """Executions are accepted and never end."""
    processing_status: Literal["SUCCESS", "FAILURE", "CANCELLED", "TIMED_OUT", "RUNNING"] = (
        "SUCCESS"
    )
    """The final status of executions. Only SUCCESS has output files."""
    processing_messages: list[str] = []
    empty_outputs: bool = False
    """A successful execution has no output files."""
    missing_outputs: Annotated[int, Field(ge=0)] = 0
    """The number of output files that are missing from the end of each result."""
    wrong_input_ids: bool = False
    """Outputs refer to unknown inputs."""
    batch_status: Annotated[int, Field(ge=400, le=599)] | None = None
    """The HTTP status that rejects batches."""

    outages: dict[Service, Outage] = {}

    unread_datasets: set[str] = set()
    """Ids of datasets whose products rs-catalog counts, but can't list: a search that finds some gets 503."""
    missing_ref_keys: bool = False
    """Summaries lack their ``_ref`` and ``_!ref`` keys."""
    without_filesize: set[str] = set()
    """Stored files whose size the catalog doesn't publish."""
    created: dict[str, datetime] = {}
    """Replacements for catalog creation dates, by product id, to simulate products added later."""
    stac_ids_of_providers: bool = False
    """Items of STAC have the names of their providers as ids, as some catalogs are configured."""
    project_without_host: bool = False
    mail_status: Annotated[int, Field(ge=400, le=599)] | None = None
    """The HTTP status with which rs-admin-instance rejects mails; its other endpoints work."""

    @classmethod
    def from_options(cls, options: Iterable[str]) -> Faults:
        """Parse faults from texts ``name=value``. Dots separate nested names; values are JSON or text.

        Examples: ``nearline_seconds=5``, ``outages.rs-catalog.mode=down``, ``silent_checksums=["*"]``.

        Raises:
            FaultError: an option has another form or an invalid value.
        """
        tree: dict[str, Any] = {}
        for option in options:
            name, equals, value = option.partition("=")
            if not equals:
                raise FaultError(f"--fault {option}: write it as name=value")
            _put(tree, name.split("."), _value(value))
        try:
            return cls.model_validate(tree)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise FaultError(f"--fault {where}: {first['msg']}") from error

    def become(self, other: Faults) -> None:
        """Copy all values of another object into this one, which all services share."""
        for name in type(self).model_fields:
            setattr(self, name, getattr(other, name))

    def take_outage(self, service: Service) -> Outage | None:
        """Count this call and return the outage that it meets, or None."""
        outage = self.outages.get(service)
        if outage is None or outage.calls is None:
            return outage
        if outage.calls == 0:
            return None
        outage.calls -= 1
        return outage


def concerns(checksums: Collection[str], checksum: str) -> bool:
    """Return True if a set of checksums contains a checksum, or ``*``."""
    return checksum in checksums or EVERY in checksums


def _put(tree: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        tree = tree.setdefault(part, {})
    tree[path[-1]] = value


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
