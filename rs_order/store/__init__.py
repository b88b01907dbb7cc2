"""The store: PostgreSQL, one schema per tenant and one that they share.

A unit of work (:class:`rs_order.store.unit_of_work.UnitOfWork`) is one short transaction in the schema of
one tenant. Its statements work on sets of rows. They stand in ``sql/``, the tables in ``schema/``, and
the way from one version to the next in ``migrations/``.

Lock order, for every writer: first the owner's advisory lock (scheduling only), then the owner's
interactive basket, then rows of orders by ascending id, then everything below them, then the capacity of
the service. A counter of an order or a sub-order changes only while the row of the order is locked.
"""
