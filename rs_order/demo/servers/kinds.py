"""The two kinds of server the order service stands on."""

from enum import Enum


class Kind(Enum):
    DATABASE = "PostgreSQL"
    BROKER = "RabbitMQ"

    @property
    def variable(self) -> str:
        """The environment variable that may hold the server's URL."""
        match self:
            case Kind.DATABASE:
                return "RS_ORDER_DATABASE_URL"
            case Kind.BROKER:
                return "RS_ORDER_AMQP_URL"

    @property
    def package(self) -> str:
        """The package of Debian and Ubuntu that holds its programs."""
        match self:
            case Kind.DATABASE:
                return "postgresql"
            case Kind.BROKER:
                return "rabbitmq-server"
