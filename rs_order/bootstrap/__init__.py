"""The composition root: the only place that knows which class stands behind which port."""

from rs_order.bootstrap.broker import names_on_the_broker
from rs_order.bootstrap.database import Database, open_database
from rs_order.bootstrap.service import Role, serve

__all__ = ["Database", "Role", "names_on_the_broker", "open_database", "serve"]
