"""The composition root: the only place that knows which class stands behind which port."""

from rs_order.bootstrap.broker import names_on_the_broker
from rs_order.bootstrap.service import Role, serve
from rs_order.bootstrap.store import Store, open_store

__all__ = ["Role", "Store", "names_on_the_broker", "open_store", "serve"]
