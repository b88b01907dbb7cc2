"""The PostgreSQL and the RabbitMQ that the demo and the tests run on.

Each is the first of these that works: a URL in the environment, a container of a Docker engine,
programs of this machine run privately, the same programs installed with apt-get.
Nothing of a server of ours survives us: a guard process ends it however we end.
"""

from rs_order.demo.servers.errors import (
    InstallError,
    NotOursError,
    ServersError,
    ServersMissingError,
    ServerStartError,
)
from rs_order.demo.servers.machine import ThisMachine
from rs_order.demo.servers.management import Management
from rs_order.demo.servers.running import (
    VHOSTS,
    Servers,
    running_broker,
    running_database,
    running_servers,
)
from rs_order.demo.servers.server import Broker, Database

__all__ = [
    "VHOSTS",
    "Broker",
    "Database",
    "InstallError",
    "Management",
    "NotOursError",
    "ServerStartError",
    "Servers",
    "ServersError",
    "ServersMissingError",
    "ThisMachine",
    "running_broker",
    "running_database",
    "running_servers",
]
