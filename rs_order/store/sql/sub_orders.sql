-- name: open
-- New sub-orders under construction, with ascending ids. $1 order ids, $2 owners, $3 dataset tasks, $4 kinds,
-- $5 whether storage is asked for them.
insert into sub_order (order_id, dataset_task_id, owner, kind, asks_storage)
select order_id, dataset_task_id, owner, kind, asks_storage
from unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::boolean[])
    with ordinality as sub_order (order_id, owner, dataset_task_id, kind, asks_storage, number)
order by number
returning id

-- name: load
-- $1 ids.
select id, order_id, owner, kind, state, rank, asks, asked_at, quota_exceeded, due_at,
       guess, expected_earliest, expected_latest, joined_files, joined_bytes, asked_hours,
       pending_files, pending_bytes,
       available_files, available_bytes,
       downloaded_files, downloaded_bytes,
       download_error_files, download_error_bytes,
       error_files, error_bytes,
       processing_error_files, processing_error_bytes
from sub_order
where id = any ($1)
order by id

-- name: complete_at_once
-- Sub-orders of an order whose files were available from the start, even if they were downloaded meanwhile. A change
-- of the others announces itself. $1 order id, $2 first id, $3 limit.
select id, order_id, owner, kind, state, rank, asks, asked_at, quota_exceeded, due_at,
       guess, expected_earliest, expected_latest, joined_files, joined_bytes, asked_hours,
       pending_files, pending_bytes,
       available_files, available_bytes,
       downloaded_files, downloaded_bytes,
       download_error_files, download_error_bytes,
       error_files, error_bytes,
       processing_error_files, processing_error_bytes
from sub_order
where order_id = $1 and id >= $2 and kind <> 'PROCESSING' and asks = 0
  and (state = 'WAITING' or (state = 'ENDED' and downloaded_files + download_error_files > 0))
order by id
limit $3

-- name: count_extending
-- For each order, the sub-orders that extend its expiry date (domain.md 4.7). $1 order ids, $2 first ids.
select counted.order_id, extending.number
from unnest($1::bigint[], $2::bigint[]) as counted (order_id, first)
cross join lateral (
    select count(*) as number
    from sub_order
    join dataset_task task on task.id = sub_order.dataset_task_id
    where sub_order.order_id = counted.order_id and sub_order.id >= counted.first
      and (kind = 'PROCESSING' or (kind = 'STORAGE' and task.process_id is null))
) as extending

-- name: save
-- Write sub-orders back, with their lines of the history, and samples of those that storage has settled. Their orders
-- are locked. Events of orders that aren't saved get the next ordinals of their orders.
-- $1 records, $2 history, $3 now, $4 samples, $5 events.
with saved as (
update sub_order
set state = record.state, rank = record.rank, asks = record.asks,
    asked_at = record.asked_at, quota_exceeded = record.quota_exceeded, due_at = record.due_at,
    guess = record.guess, expected_earliest = record.expected_earliest, expected_latest = record.expected_latest,
    joined_files = record.joined_files, joined_bytes = record.joined_bytes, asked_hours = record.asked_hours,
    pending_files = record.pending_files, pending_bytes = record.pending_bytes,
    available_files = record.available_files, available_bytes = record.available_bytes,
    downloaded_files = record.downloaded_files, downloaded_bytes = record.downloaded_bytes,
    download_error_files = record.download_error_files, download_error_bytes = record.download_error_bytes,
    error_files = record.error_files, error_bytes = record.error_bytes,
    processing_error_files = record.processing_error_files, processing_error_bytes = record.processing_error_bytes
from jsonb_to_recordset($1::jsonb) as record (
    id bigint, state text, rank timestamptz, asks integer, asked_at timestamptz,
    quota_exceeded boolean, due_at timestamptz,
    guess double precision, expected_earliest double precision, expected_latest double precision,
    joined_files integer, joined_bytes bigint, asked_hours integer,
    pending_files bigint, pending_bytes bigint,
    available_files bigint, available_bytes bigint,
    downloaded_files bigint, downloaded_bytes bigint,
    download_error_files bigint, download_error_bytes bigint,
    error_files bigint, error_bytes bigint,
    processing_error_files bigint, processing_error_bytes bigint)
where sub_order.id = record.id
), sampled as (
insert into restore_sample (
    storage, asked_at, settled_at, files, bytes, guess, expected_earliest, expected_latest)
select storage, asked_at, settled_at, files, bytes, guess, expected_earliest, expected_latest
from jsonb_to_recordset($4::jsonb) as sample (
    storage text, asked_at timestamptz, settled_at timestamptz, files integer, bytes bigint,
    guess double precision, expected_earliest double precision, expected_latest double precision)
), counted as (
update orders set events = events + added.number
from (
    select order_id, count(*) as number from jsonb_to_recordset($5::jsonb) as event (order_id bigint) group by order_id
) as added
where orders.id = added.order_id
returning orders.id, orders.events - added.number as events_before
), logged as (
insert into event (event_id, order_id, ordinal, owner, type, data, created_at)
select event.event_id, event.order_id, counted.events_before + event.number, event.owner, event.type, event.data, $3
from jsonb_to_recordset($5::jsonb) as event (
    event_id uuid, order_id bigint, number integer, owner text, type text, data jsonb)
join counted on counted.id = event.order_id
order by event.order_id, event.number
)
insert into history (order_id, sub_order_id, before, after, reason, actor, at)
select order_id, sub_order_id, before, after, reason, actor, $3
from jsonb_to_recordset($2::jsonb) as line (
    order_id bigint, sub_order_id bigint, before text, after text, reason text, actor text)

-- name: lock_owner
-- Only one scheduling run of an owner at a time, and none while a hold of the tenant is written. It is sent with the
-- begin; $1 is replaced by schema and owner, $2 by the schema.
select pg_advisory_xact_lock_shared(hashtextextended($2, 2)), pg_advisory_xact_lock(hashtextextended($1, 1))

-- name: owners_ready
-- Owners with a ready sub-order: one index probe per owner.
with recursive ready (owner) as (
    (select owner from sub_order where state = 'READY' order by owner limit 1)
    union all
    select (
        select next.owner from sub_order next
        where next.state = 'READY' and next.owner > ready.owner
        order by next.owner limit 1
    )
    from ready where ready.owner is not null
)
select owner from ready where owner is not null

-- name: owner_queue
-- The owner's next sub-orders by rank, those that storage is asked for and the others. Paused orders are left out.
-- So are orders under retry, because peers learn the number of their new sub-orders first.
-- Each row has the number of slots that the owner takes: by sub-orders that run, or wait for a download that is
-- possible. External ones never count. It also says whether the capacity is limited. If no sub-order is ready, or the
-- tenant or the owner is held, there is one row without a sub-order; those of held orders are left out.
-- $1 owner, $2 limit of those that storage is asked for, $3 limit of the others, $4 false: slots aren't counted,
-- $5 tenant.
select rs_order.is_counted() as limited, queue.*
from (select) as one
left join lateral (
    select next.asks_storage, ready.id, ready.order_id, ready.rank, (
        select count(*) from sub_order
        where $4 and owner = $1 and kind <> 'EXTERNAL'
          and (state = 'RUNNING' or (state = 'WAITING' and not quota_exceeded))
    ) as slots_taken
    from (values (true, $2::integer), (false, $3::integer)) as next (asks_storage, most)
    cross join lateral (
        select sub_order.id, sub_order.order_id, sub_order.rank
        from sub_order
        where sub_order.owner = $1 and sub_order.state = 'READY' and sub_order.asks_storage = next.asks_storage
          and (
              select orders.status = 'RUNNING'
                 and not exists (select from retry where retry.order_id = orders.id)
                 and orders.id <> all (array(
                     select order_id from rs_order.hold where tenant = $5 and order_id is not null))
              from orders where orders.id = sub_order.order_id
          )
        order by sub_order.rank
        limit next.most
    ) as ready
    where not exists (
        select from rs_order.hold where tenant = $5 and order_id is null and (owner = $1 or owner is null))
) as queue on true
order by queue.asks_storage, queue.rank

-- name: at_storage
-- The sub-orders of an order that storage was asked for, those first that wait longest. $1 order, $2 limit.
select id, asks from sub_order
where order_id = $1 and state = 'RUNNING'
order by asked_at, id
limit $2

-- name: stop
-- Put sub-orders of a paused order back into the queue at their ranks. See files.delete_slice for the form.
-- $1 order id, $2 limit.
update sub_order set state = 'READY'
where id = any (array(
    select id from sub_order
    where (order_id, id) > ($1, 0) and order_id <= $1 and state = 'RUNNING'
    order by order_id, id limit $2
))
returning id

-- name: remove
-- Delete sub-orders that lost every file. $1 ids.
delete from sub_order where id = any ($1)

-- name: release
-- Delete sub-orders of deleted or expired orders that run, process or wait. See files.delete_slice for the
-- form. $1 order ids, $2 limit.
delete from sub_order
where id = any (array(
    select at_work.id
    from unnest($1::bigint[]) as inactive (id)
    cross join lateral (
        select sub_order.id from sub_order
        where (order_id, sub_order.id) > (inactive.id, 0) and order_id <= inactive.id
          and state in ('RUNNING', 'PROCESSING', 'WAITING')
        order by order_id, sub_order.id limit $2
    ) as at_work
    limit $2
))
returning id, owner

-- name: delete_slice
-- See files.delete_slice for the form. $1 order id, $2 limit.
delete from sub_order
where id = any (array(
    select id from sub_order
    where (order_id, id) > ($1, 0) and order_id <= $1
    order by order_id, id limit $2
))
