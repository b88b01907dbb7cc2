"""Writes orders of any size by SQL."""

from rs_order.store.pool import Connection

_ORDER = """
insert into orders (owner, role, label, correlation_id, status, sub_order_hours, sub_orders, expires_at,
    waiting_sub_orders, {state}_files, {state}_bytes)
select '{owner}', 'REGISTERED_USER', gen_random_uuid()::text, 'large', '{status}', 2, {sub_orders},
    now() + interval '1 day', case when '{sub_order_state}' = 'WAITING' then {sub_orders} else 0 end,
    {sub_orders} * {each}, {sub_orders} * {each} * {size}::bigint
returning id
"""
_TASK = """
insert into dataset_task (order_id, dataset_urn, dataset_label, products_count, files_count, files_bytes)
select {order}, 'URN:AIP:DATASET:project1:1:V1', 'large', {sub_orders} * {each}, {sub_orders} * {each},
    {sub_orders} * {each} * {size}::bigint
"""
_SUB_ORDERS = """
insert into sub_order (order_id, dataset_task_id, owner, kind, state, rank, asks, asked_at,
    {state}_files, {state}_bytes)
select order_id, id, '{owner}', 'STORAGE', '{sub_order_state}', now(), 1, now(), {each},
    {each} * {size}::bigint
from dataset_task, generate_series(1, {sub_orders}) where order_id = {order}
"""
_FILES = """
insert into data_file (order_id, sub_order_id, dataset_task_id, identity, product_urn, product_id,
    product_version, data_type, name, url, external, online, size, checksum, checksum_algorithm, mime_type,
    state)
select sub_order.order_id, sub_order.id, dataset_task_id, gen_random_uuid(),
    'URN:AIP:DATA:project1:' || n || ':V1', 'PRODUCT_' || n, 1, 'RAWDATA', 'file_' || n || '.nc',
    'https://archive.example.org/files/' || n, false, false, {size}, md5(sub_order.id || '/' || n), 'MD5',
    'application/x-netcdf', upper('{state}')
from sub_order, generate_series(1, {each}) n where order_id = {order}
"""


async def write_large_order(connection: Connection, **values: object) -> int:
    """Write an order of one dataset and return its id.

    Its files are spread evenly over its sub-orders, and all have the same state.

    Args:
        connection: has the tenant's schema as its search path.
        values: ``owner``, ``status``, the number of ``sub_orders``, ``sub_order_state``, the number of files
            in ``each`` sub-order, their ``state`` in lower case, and their ``size``, 1000 by default.
    """
    values = {"size": 1000, **values}
    order: int = await connection.fetchval(_ORDER.format(**values))
    for statement in (_TASK, _SUB_ORDERS, _FILES):
        await connection.execute(statement.format(order=order, **values), timeout=3600)
    return order
