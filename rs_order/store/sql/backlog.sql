-- name: restores
-- Sub-orders that storage was asked for and has not settled, with their files and bytes, by active tenant, and since when
-- the oldest waits.
select running.tenant, count(*) as sub_orders, sum(running.files)::bigint as files, sum(running.bytes)::bigint as bytes,
    min(running.started_at) as oldest
from rs_order.running_sub_order running
join rs_order.tenant on tenant.name = running.tenant and tenant.active
group by running.tenant

-- name: of_tenant
-- What waits in a tenant. Each part is an index probe. There is one per owner for ready sub-orders; the part of
-- processing passes those that run. The least due date of a sub-order whose executions were requested is that of
-- the oldest. $1 processing silence.
with recursive ready (owner) as (
    (select owner from sub_order where state = 'READY' order by owner limit 1)
    union all
    (select next.owner from ready
     cross join lateral (
         select sub_order.owner from sub_order
         where sub_order.state = 'READY' and sub_order.owner > ready.owner
         order by sub_order.owner limit 1
     ) as next)
)
select
    (select received_at from order_request where state = 'RECEIVED' order by id limit 1) as request,
    (select min(first.rank) from ready
     cross join unnest(array[true, false]) as kind (asks_storage)
     cross join lateral (
         select sub_order.rank from sub_order
         where sub_order.owner = ready.owner and sub_order.asks_storage = kind.asks_storage
           and sub_order.state = 'READY'
         order by sub_order.rank limit 1
     ) as first) as ready,
    (select due_at - $1::interval from sub_order
     where state = 'PROCESSING'
       and exists (select from process_batch where sub_order_id = sub_order.id and batch_id is not null)
     order by due_at limit 1) as processing,
    (select due_at from sub_order where state in ('RUNNING', 'PROCESSING') order by due_at limit 1) as due,
    (select created_at from event where position is null order by id limit 1) as event
