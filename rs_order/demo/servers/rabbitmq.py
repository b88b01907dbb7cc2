"""A private RabbitMQ with a node, ports, files and a port mapper of its own, and the management plug-in."""

import os
import secrets
import shutil
import signal
from pathlib import Path

from rs_order.demo.servers.database_and_broker import Broker
from rs_order.demo.servers.errors import ServerStartError
from rs_order.demo.servers.handles import SupervisedServer
from rs_order.demo.servers.private_resources import free_ports, make_folder, unprivileged_account
from rs_order.demo.servers.programs import Programs
from rs_order.demo.servers.supervisor import ServerSpec

USER = "rs_order"

_STOP_LIMIT_SECONDS = 2.0
"""The queues are closed within a tenth of a second. After that the management plug-in only waits for five
seconds, which would slow down the tests that restart the broker."""

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
    """Prepare a private RabbitMQ on free ports, without starting it.

    Raises:
        ServerStartError: Erlang's port mapper is not installed.
    """
    account = unprivileged_account("rabbitmq")
    password = secrets.token_hex(16)
    amqp, management, distribution, port_mapper = free_ports(4)
    mapper = _port_mapper_program()
    folder = make_folder(
        "rabbitmq",
        account,
        [
            ("rabbitmq.conf", _configuration(amqp, management, password)),
            ("enabled_plugins", "[rabbitmq_management].\n"),
            (".erlang.cookie", secrets.token_hex(16)),
        ],
        durable=durable,
    )
    Path(folder, ".erlang.cookie").chmod(0o400)
    spec = ServerSpec(
        folder=folder,
        command=[str(programs.folder / "rabbitmq-server")],
        # In the foreground: otherwise the node starts one as a daemon and leaves it behind.
        helpers=[[mapper, "-port", str(port_mapper), "-address", "127.0.0.1"]],
        environment=_environment(folder, distribution, port_mapper),
        account=account,
        stop_signal=signal.SIGTERM,
        discard_signal=signal.SIGKILL,
        stop_limit_seconds=_STOP_LIMIT_SECONDS,
    )
    return Broker(
        url=f"amqp://{USER}:{password}@127.0.0.1:{amqp}",
        management_url=f"http://{USER}:{password}@127.0.0.1:{management}",
        handle=SupervisedServer(spec),
    )


def _configuration(amqp: int, management: int, password: str) -> str:
    return _CONFIGURATION.format(amqp=amqp, management=management, user=USER, password=password)


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
        # Keep out the machine's own RabbitMQ configuration.
        "RABBITMQ_CONF_ENV_FILE": f"{folder}/none",
        "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
        "RABBITMQ_ADVANCED_CONFIG_FILE": f"{folder}/none",
        "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/enabled_plugins",
        "RABBITMQ_MNESIA_BASE": f"{folder}/data",
        "RABBITMQ_LOG_BASE": f"{folder}/log",
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_NODENAME": "rs_order@localhost",
        "RABBITMQ_DIST_PORT": str(distribution),
        # Without the first three it spins while it waits, and takes that time from the other processes.
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
            "+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
        ),
        # With this, the script replaces itself by the server, so that signals reach the server alone.
        "RABBITMQ_ALLOW_INPUT": "true",
        # The server must not read the input in spite of that.
        "RABBITMQ_SERVER_START_ARGS": "-noinput",
    }
