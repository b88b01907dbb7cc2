-- name: labels_taken
-- The labels among these that their owners use: one index probe each. $1 owners, $2 labels.
select taken.owner, taken.label
from unnest($1::text[], $2::text[]) as wanted (owner, label)
join orders taken on taken.owner = wanted.owner and taken.label = wanted.label

-- name: reserve
-- Take ids from the sequence of a table. $1 table, $2 how many.
select nextval(pg_get_serial_sequence($1, 'id')) as id from generate_series(1, $2)

-- name: create
-- New orders, PENDING; each has one event, which create_history writes. $1 records.
insert into orders (id, owner, role, label, correlation_id, request_id, front_url, created_at, status_at,
    sub_order_hours, traceparent, events, events_due_at)
select id, owner, role, label, correlation_id, request_id, front_url, created_at, created_at, sub_order_hours,
    traceparent, 1, created_at + interval '15 minutes'
from jsonb_to_recordset($1::jsonb) as record (
    id bigint, owner text, role text, label text, correlation_id text, request_id bigint, front_url text,
    created_at timestamptz, sub_order_hours integer, traceparent text)

-- name: lock_basket
-- Lock the interactive basket of an owner. $1 owner.
select id from basket where owner = $1 and order_id is null for update

-- name: take_baskets
-- Interactive baskets become those of orders. $1 basket ids, $2 order ids.
update basket set order_id = taken.order_id, version = version + 1
from unnest($1::bigint[], $2::bigint[]) as taken (id, order_id)
where basket.id = taken.id

-- name: create_baskets
-- The basket an order consumed. $1 basket ids, $2 owners, $3 order ids.
insert into basket (id, owner, order_id)
select * from unnest($1::bigint[], $2::text[], $3::bigint[])

-- name: create_completions
-- Completions that have not begun. $1 order ids.
insert into completion (order_id) select unnest($1::bigint[])

-- name: create_history
-- The first line of each new order's history, and its first event. $1 order ids, $2 now, $3 reason, $4 actors,
-- $5 events.
with logged as (
insert into event (event_id, order_id, ordinal, owner, type, data, created_at)
select event.event_id, event.order_id, 0 + event.number, event.owner, event.type, event.data, $2
from jsonb_to_recordset($5::jsonb) as event (
    event_id uuid, order_id bigint, number integer, owner text, type text, data jsonb)
order by event.order_id
)
insert into history (order_id, after, reason, actor, at)
select order_id, 'PENDING', $3, actor, $2 from unnest($1::bigint[], $4::text[]) as created (order_id, actor)

-- name: lock
-- Load orders and lock their rows, by ascending id. $1 ids.
select id, owner, role, correlation_id, status, sub_order_hours, expires_at, message, sub_orders,
       waiting_sub_orders, request_id, front_url,
       pending_files, pending_bytes,
       available_files, available_bytes,
       downloaded_files, downloaded_bytes,
       download_error_files, download_error_bytes,
       error_files, error_bytes,
       processing_error_files, processing_error_bytes
from orders
where id = any ($1)
order by id
for update

-- name: owner
-- $1 order id.
select owner from orders where id = $1

-- name: filling
-- The orders among these that still receive files. It runs after the orders are locked: a statement that
-- waits for a lock sees these tables as they were before the wait.
-- $1 order ids.
select order_id, true as completing from completion where order_id = any ($1)
union all
select order_id, false from retry where order_id = any ($1)

-- name: has_process
-- $1 order id.
select orders.has_process from orders where id = $1

-- name: awaiting
-- Orders that a storage event can change: those with files that storage was asked for and that aren't
-- settled for good, or that were given up without an answer. Storage was asked for a READY sub-order
-- before its order was paused, or before its files were retried. $1 checksums.
select distinct file.order_id
from data_file file
join sub_order on sub_order.id = file.sub_order_id
where file.checksum = any ($1)
  and (file.state in ('PENDING', 'AVAILABLE') or file.reason_code = 'storage-silent')
  and (file.reason_code = 'storage-silent'
       or sub_order.state = 'RUNNING' or (sub_order.state = 'READY' and sub_order.asks > 0))
union
select input.order_id
from process_input input
join sub_order on sub_order.id = input.sub_order_id
where input.checksum = any ($1) and input.state <> 'ERROR'
  and (sub_order.state = 'RUNNING' or (sub_order.state = 'READY' and sub_order.asks > 0))

-- name: save
-- Write locked orders back, with their lines of the history. A change of the number of available files restarts
-- their waiting time. The events get the next ordinals of their orders. As long as an order may have events that come
-- with time (timed_events.sql), it is due for a check: ten minutes after the last one if files have failed.
-- $1 records, $2 now, $3 history, $4 events.
with counted as (
    select order_id, count(*) as number from jsonb_to_recordset($4::jsonb) as event (order_id bigint) group by order_id
), saved as (
update orders
set status = record.status,
    status_at = case when orders.status = record.status then orders.status_at else $2 end,
    message = record.message, expires_at = record.expires_at, sub_orders = record.sub_orders,
    waiting_sub_orders = record.waiting_sub_orders,
    pending_files = record.pending_files, pending_bytes = record.pending_bytes,
    available_files = record.available_files, available_bytes = record.available_bytes,
    downloaded_files = record.downloaded_files, downloaded_bytes = record.downloaded_bytes,
    download_error_files = record.download_error_files, download_error_bytes = record.download_error_bytes,
    error_files = record.error_files, error_bytes = record.error_bytes,
    processing_error_files = record.processing_error_files, processing_error_bytes = record.processing_error_bytes,
    available_at = case
        when record.available_files = 0 or record.status in ('DELETED', 'EXPIRED') then null
        when record.available_files is distinct from orders.available_files then $2
        else orders.available_at
    end,
    events = orders.events + coalesce(counted.number, 0),
    events_due_at = case
        when record.status in ('DELETED', 'EXPIRED') then null
        when record.error_files + record.processing_error_files > orders.error_files + orders.processing_error_files
            then least(orders.events_due_at, greatest($2, orders.events_checked_at + interval '10 minutes'))
        when record.status in ('PENDING', 'RUNNING', 'PAUSED') or record.available_files > 0
            then coalesce(orders.events_due_at, $2 + interval '15 minutes')
        when record.error_files + record.processing_error_files > orders.failures_told then orders.events_due_at
    end,
    failures_told = least(orders.failures_told, record.error_files + record.processing_error_files)
from jsonb_to_recordset($1::jsonb) as record (
    id bigint, status text, message text, expires_at timestamptz, sub_orders integer,
    waiting_sub_orders integer,
    pending_files bigint, pending_bytes bigint,
    available_files bigint, available_bytes bigint,
    downloaded_files bigint, downloaded_bytes bigint,
    download_error_files bigint, download_error_bytes bigint,
    error_files bigint, error_bytes bigint,
    processing_error_files bigint, processing_error_bytes bigint)
left join counted on counted.order_id = record.id
where orders.id = record.id
returning orders.id, orders.events - coalesce(counted.number, 0) as events_before
), logged as (
insert into event (event_id, order_id, ordinal, owner, type, data, created_at)
select event.event_id, event.order_id, saved.events_before + event.number, event.owner, event.type, event.data, $2
from jsonb_to_recordset($4::jsonb) as event (
    event_id uuid, order_id bigint, number integer, owner text, type text, data jsonb)
join saved on saved.id = event.order_id
order by event.order_id, event.number
)
insert into history (order_id, before, after, reason, actor, at)
select order_id, before, after, reason, actor, $2
from jsonb_to_recordset($3::jsonb) as line (order_id bigint, before text, after text, reason text, actor text)

-- name: remove
-- Delete an order with its basket and dataset tasks. Files and sub-orders are deleted in slices; the history
-- stays. $1 order id.
delete from orders where id = $1

-- name: explain
-- Give an order a message, unless it has one. $1 order, $2 message.
update orders set message = $2
where id = $1 and message is null and status not in ('DELETED', 'EXPIRED')

-- name: withdraw
-- Remove a message, unless another step of the order fails. $1 order, $2 message.
update orders set message = null
where id = $1 and message = $2
  and not exists (select from repeated_step where order_id = $1 and failures > 0)

-- name: add_history
-- Add events of orders and sub-orders to the history. $1 records, $2 now.
insert into history (order_id, sub_order_id, before, after, reason, actor, at)
select order_id, sub_order_id, before, after, reason, actor, $2
from jsonb_to_recordset($1::jsonb) as record (
    order_id bigint, sub_order_id bigint, before text, after text, reason text, actor text)

-- name: has_basket
-- $1 order id.
select exists (select from basket where order_id = $1)

-- name: copy_selections
-- Copy the selections of an order's basket to the empty basket of another, with their dates (B17).
-- $1 from order, $2 to order.
with copied as (
    insert into dataset_selection (basket_id, dataset_urn, dataset_label, products_count, files_count,
        files_bytes, type_totals, file_kinds, file_name_pattern, process_id, process_parameters)
    select target.id, dataset_urn, dataset_label, products_count, files_count, files_bytes, type_totals,
           file_kinds, file_name_pattern, process_id, process_parameters
    from dataset_selection selection
    join basket source on source.id = selection.basket_id and source.order_id = $1
    join basket target on target.order_id = $2
    order by selection.id
    returning id, dataset_urn
)
insert into dated_selection (dataset_selection_id, selection_date, position, request, products_count, type_totals)
select copied.id, dated.selection_date, dated.position, dated.request, dated.products_count, dated.type_totals
from dated_selection dated
join dataset_selection selection on selection.id = dated.dataset_selection_id
join basket source on source.id = selection.basket_id and source.order_id = $1
join copied on copied.dataset_urn = selection.dataset_urn
