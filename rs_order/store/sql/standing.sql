-- name: standing
-- Orders, and steps of no order, in which nothing has moved for longer than usual: those first that wait longest. An order
-- has a row for each cause. Only what is at work is read, and the first in the queue of each owner. $1 now, $2 silent:
-- storage was asked first at or before this instant, $3 queued for long: since before this instant, $4 limit.
with recursive owner_ready (owner) as (
    (select owner from sub_order where state = 'READY' and asks_storage order by owner limit 1)
    union all
    (select next.owner from owner_ready
     cross join lateral (
         select sub_order.owner from sub_order
         where state = 'READY' and asks_storage and sub_order.owner > owner_ready.owner
         order by sub_order.owner limit 1
     ) as next)
), still (order_id, cause, since, next_at, times, sub_orders, step, subject, detail) as (
    select order_id, 'storage', min(asked_at), min(due_at), max(asks), count(*), null::text, null::text, null::text
    from sub_order
    where state = 'RUNNING'
      and ((asks >= 2 and asked_at <= $2) or asked_at + expected_latest * interval '1 second' < $1)
    group by order_id
    union all
    select sub_order.order_id, 'process', min(coalesce(batch.unavailable_since, sub_order.due_at)),
           min(sub_order.due_at), max(batch.attempts), count(*), null, null, null
    from sub_order
    join process_batch batch on batch.sub_order_id = sub_order.id
    where sub_order.state = 'PROCESSING' and (batch.unavailable_since is not null or sub_order.due_at < $1)
    group by sub_order.order_id
    union all
    select order_id, 'catalog', unavailable_since, null, attempts, 0, null, null, null
    from completion where unavailable_since is not null
    union all
    select first.order_id, 'queue', min(first.rank), null, 0, count(*), null, null, null
    from owner_ready
    cross join lateral (
        select sub_order.order_id, sub_order.rank from sub_order
        where sub_order.owner = owner_ready.owner and state = 'READY' and asks_storage
        order by sub_order.rank limit 1
    ) as first
    where first.rank < $3
    group by first.order_id
    union all
    select order_id, 'step', noted_at, next_at, times, 0, step, subject, coalesce(detail, cause)
    from repeated_step
)
select still.order_id, still.cause, still.since, still.next_at, still.times, still.sub_orders, still.step, still.subject,
       still.detail
from still
left join orders on orders.id = still.order_id
where still.order_id is null or orders.status in ('PENDING', 'RUNNING')
order by still.since, still.order_id nulls last, still.cause
limit $4

-- name: requests
-- Order requests that have had no answer for long, the oldest first. $1 received before, $2 limit.
select id, correlation_id, received_at, attempts, unavailable_since
from order_request where state = 'RECEIVED' and received_at < $1
order by id
limit $2
