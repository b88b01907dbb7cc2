"""What the sandbox does wrong on purpose: set at start, changed while it runs.

Sets of checksums may hold ``*``, which stands for every checksum.
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
    EXTERNAL = "external"
    """The host of external files; no REGARDS service, and asks for no token."""


class OutageMode(StrEnum):
    DOWN = "down"
    """The connection is closed without an answer."""
    STATUS = "status"
    """The status of the outage, with a REGARDS error body."""
    NONSENSE = "nonsense"
    """200 with a body that isn't JSON."""
    GARBAGE = "garbage"
    """200 with JSON of the wrong shape."""
    SLOW = "slow"
    """The right answer, ``seconds`` late."""
    EMPTY = "empty"
    """200 without a body."""


class Outage(BaseModel):
    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    mode: OutageMode
    status: Annotated[int, Field(ge=400, le=599)] = 503
    seconds: Annotated[float, Field(ge=0)] = 1.0
    calls: Annotated[int, Field(ge=0)] | None = None
    """How many calls it still spoils; None for all until it is taken away."""


class Quota(BaseModel):
    """Limits of one user at storage; only RAWDATA files count."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    max_files: Annotated[int, Field(ge=0)] | None = None
    max_rate: Annotated[int, Field(ge=0)] | None = None
    """Downloads at the same time."""


class FaultError(Exception):
    """A ``--fault`` can't be understood; the message says which and why."""


class Faults(BaseModel):
    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    nearline_seconds: Annotated[float, Field(ge=0)] = 2.0
    """How long a nearline file takes to come back."""
    nearline_jitter: Annotated[float, Field(ge=0, le=1)] = 0.25
    """Part of that time by which files differ from each other."""
    availability_scale: Annotated[float, Field(gt=0)] = 1.0
    """Length of one hour of availability, in hours: 0.001 makes it 3.6 s."""

    silence: bool = False
    """Storage answers no restoration request (released ones excepted)."""
    silent_checksums: set[str] = set()
    storage_errors: dict[str, str] = {}
    """Checksum to the message of its AVAILABILITY_ERROR."""
    duplicates: Annotated[int, Field(ge=1, le=100)] = 1
    """How often each storage event, and each result of an execution, is sent."""
    then_error: set[str] = set()
    """AVAILABLE, followed by AVAILABILITY_ERROR."""
    noise: Annotated[int, Field(ge=0, le=100)] = 0
    """Unrelated events (other types, other checksums) before each answer."""

    wrong_bytes: set[str] = set()
    """Downloads of the right length and other content."""
    truncated: set[str] = set()
    """Half of the bytes, announced as if they were all."""
    cut: set[str] = set()
    """The connection is closed in the middle of the file."""
    without_length: set[str] = set()
    """No Content-Length."""
    slow_bytes_per_second: Annotated[float, Field(gt=0)] | None = None
    """Speed limit of each download."""
    quotas: dict[str, Quota] = {}
    """E-mail to limits."""

    processing_seconds: Annotated[float, Field(ge=0)] = 0.0
    """How long an execution takes."""
    processing_silence: bool = False
    """Executions are taken and never end."""
    processing_status: Literal["SUCCESS", "FAILURE", "CANCELLED", "TIMED_OUT", "RUNNING"] = (
        "SUCCESS"
    )
    """What results say of their executions; only SUCCESS brings files."""
    processing_messages: list[str] = []
    empty_outputs: bool = False
    """Success that brings nothing."""
    missing_outputs: Annotated[int, Field(ge=0)] = 0
    """How many of its last files an execution doesn't bring."""
    wrong_input_ids: bool = False
    """Outputs name inputs that nobody knows."""
    batch_status: Annotated[int, Field(ge=400, le=599)] | None = None
    """With which status batches are refused."""

    outages: dict[Service, Outage] = {}

    missing_ref_keys: bool = False
    """Summaries without their ``_ref`` and ``_!ref`` keys."""
    without_filesize: set[str] = set()
    """Stored files whose size the catalog doesn't tell."""
    created: dict[str, datetime] = {}
    """Product id to the catalog creation date it pretends to have (objects added later)."""
    project_without_host: bool = False
    mail_status: Annotated[int, Field(ge=400, le=599)] | None = None
    """What rs-admin-instance answers to a mail, which it doesn't take then; the rest of it is well."""

    @classmethod
    def from_options(cls, options: Iterable[str]) -> Faults:
        """Faults from ``name=value`` texts; dots go inside, values are JSON or plain text.

        ``nearline_seconds=5``, ``outages.rs-catalog.mode=down``, ``silent_checksums=["*"]``.

        Raises:
            FaultError: an option isn't of that form, or has a value that isn't allowed.
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
        """Take all values of another, keeping this object that everybody looks at."""
        for name in type(self).model_fields:
            setattr(self, name, getattr(other, name))

    def take_outage(self, service: Service) -> Outage | None:
        """The outage that spoils this call, counted; None when the service is well."""
        outage = self.outages.get(service)
        if outage is None or outage.calls is None:
            return outage
        if outage.calls == 0:
            return None
        outage.calls -= 1
        return outage


def concerns(checksums: Collection[str], checksum: str) -> bool:
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
