"""A private RabbitMQ: own node, ports, files and port mapper, management plug-in on."""

import os
import secrets
import shutil
import signal
from pathlib import Path

from rs_order.demo.servers.errors import ServerStartError
from rs_order.demo.servers.guard import Assignment
from rs_order.demo.servers.keepers import Guarded
from rs_order.demo.servers.ports import free_ports
from rs_order.demo.servers.private_folder import make_folder, unprivileged_account
from rs_order.demo.servers.programs import Programs
from rs_order.demo.servers.server import Broker

USER = "rs_order"

_STOP_LIMIT_SECONDS = 2.0
"""The queues are closed within a tenth of a second. Then the management plug-in waits for five
seconds for nothing, which a test that restarts the broker need not watch."""

_CONFIGURATION = """\
listeners.tcp.1 = 127.0.0.1:{amqp}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management}
default_user = {user}
default_pass = {password}
log.console = true
log.console.level = warning
log.file = false
"""


def private_broker(programs: Programs, *, durable: bool) -> Broker:
    """Prepare a RabbitMQ of our own on free ports; it isn't started yet.

    Raises:
        ServerStartError: Erlang's port mapper is not installed.
    """
    account = unprivileged_account("rabbitmq")
    password = secrets.token_hex(16)
    amqp, management, distribution, port_mapper = free_ports(4)
    configuration = _CONFIGURATION.format(
        amqp=amqp, management=management, user=USER, password=password
    )
    mapper = _port_mapper_program()
    folder = make_folder(
        "rabbitmq",
        account,
        [
            ("rabbitmq.conf", configuration),
            ("enabled_plugins", "[rabbitmq_management].\n"),
            (".erlang.cookie", secrets.token_hex(16)),
        ],
        durable=durable,
    )
    Path(folder, ".erlang.cookie").chmod(0o400)
    return Broker(
        url=f"amqp://{USER}:{password}@127.0.0.1:{amqp}",
        management_url=f"http://{USER}:{password}@127.0.0.1:{management}",
        keeper=Guarded(
            Assignment(
                folder=folder,
                command=[str(programs.folder / "rabbitmq-server")],
                # In the foreground: the node would start one as a daemon and leave it behind.
                helpers=[[mapper, "-port", str(port_mapper), "-address", "127.0.0.1"]],
                environment=_environment(folder, distribution, port_mapper),
                account=account,
                stop_signal=signal.SIGTERM,
                discard_signal=signal.SIGKILL,
                stop_limit_seconds=_STOP_LIMIT_SECONDS,
            )
        ),
    )


def _port_mapper_program() -> str:
    program = shutil.which("epmd")
    if program is None:
        raise ServerStartError("RabbitMQ needs Erlang's epmd on the PATH; install erlang-base")
    return program


def _environment(folder: str, distribution: int, port_mapper: int) -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": folder,
        "LANG": "C.UTF-8",
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(port_mapper),
        # Nothing of the machine's own RabbitMQ configuration.
        "RABBITMQ_CONF_ENV_FILE": f"{folder}/none",
        "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
        "RABBITMQ_ADVANCED_CONFIG_FILE": f"{folder}/none",
        "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/enabled_plugins",
        "RABBITMQ_MNESIA_BASE": f"{folder}/data",
        "RABBITMQ_LOG_BASE": f"{folder}/log",
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_NODENAME": "rs_order@localhost",
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        # The script replaces itself by the server, so that signals reach the server alone ...
        "RABBITMQ_ALLOW_INPUT": "true",
        # ... which for all that reads no input.
        "RABBITMQ_SERVER_START_ARGS": "-noinput",
    }
