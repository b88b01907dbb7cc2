"""The PostgreSQL and the RabbitMQ that the demo and the tests run on.

The source of each is the first that works: a URL in the environment, a container of a Docker engine,
programs of this machine that are run privately, or the same programs after apt-get has installed them.
No server that is started here outlives this process: a supervisor process ends it.
"""

from rs_order.demo.servers.database_and_broker import Broker, Database
from rs_order.demo.servers.errors import (
    InstallError,
    NotOursError,
    ServersError,
    ServersMissingError,
    ServerStartError,
)
from rs_order.demo.servers.lifecycle import (
    VHOSTS,
    Servers,
    running_broker,
    running_database,
    running_servers,
)
from rs_order.demo.servers.machine import ThisMachine
from rs_order.demo.servers.management_api import Management

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
