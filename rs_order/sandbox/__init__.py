"""A simulated REGARDS platform over real HTTP and real AMQP (remote-services.md 10).

It imports no other package of rs_order, and the product doesn't import it.
"""

from rs_order.sandbox.archive_folder import ArchiveError
from rs_order.sandbox.faults import FaultError, Faults, Outage, OutageMode, Quota, Service
from rs_order.sandbox.launch import running_sandbox, serve
from rs_order.sandbox.process_catalog import Process
from rs_order.sandbox.simulated_platform import BUNDLED_ARCHIVE, Sandbox, SandboxOptions
from rs_order.sandbox.synthetic import SyntheticDataset
from rs_order.sandbox.user_directory import User

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
    "SandboxOptions",
    "Service",
    "SyntheticDataset",
    "User",
    "running_sandbox",
    "serve",
]
