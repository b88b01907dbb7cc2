"""A simulated REGARDS platform over real HTTP and real AMQP (remote-services.md 10).

It stands alone: it imports nothing of rs_order outside itself, and the product doesn't know it.
"""

from rs_order.sandbox.directory import User
from rs_order.sandbox.faults import (
    FaultError,
    Faults,
    Outage,
    OutageMode,
    Quota,
    Service,
)
from rs_order.sandbox.manifest import ArchiveError
from rs_order.sandbox.processing import Process
from rs_order.sandbox.sandbox import BUNDLED_ARCHIVE, Sandbox
from rs_order.sandbox.serve import serve
from rs_order.sandbox.synthetic import SyntheticDataset

__all__ = [
    "BUNDLED_ARCHIVE",
    "ArchiveError",
    "FaultError",
    "Faults",
    "Outage",
    "OutageMode",
    "Process",
    "Quota",
    "Sandbox",
    "Service",
    "SyntheticDataset",
    "User",
    "serve",
]
