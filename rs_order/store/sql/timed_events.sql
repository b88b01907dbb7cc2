-- name: due
-- Orders that should be checked for events that come with time. $1 now, $2 limit.
select id from orders where events_due_at <= $1 order by events_due_at limit $2

-- name: last_checks
-- What the last checks of locked orders found, if they are still due. $1 ids, $2 now.
select id, coalesce(events_checked_at, created_at) as at, reason_code, reason_since, reason_told, failures_told
from orders where id = any ($1) and events_due_at <= $2

-- name: failed_files
-- The first files in error of each order. $1 order ids, $2 limit.
select failed.order_id, failed.id, failed.name, failed.reason_code
from unnest($1::bigint[]) as wanted (order_id)
cross join lateral (
    select order_id, dataset_task_id, id, name, reason_code from data_file
    where order_id = wanted.order_id and state in ('ERROR', 'PROCESSING_ERROR')
    order by dataset_task_id, id limit $2
) failed
order by failed.order_id, failed.dataset_task_id, failed.id

-- name: save
-- $1 records.
update orders
set events_due_at = record.events_due_at, events_checked_at = record.events_checked_at,
    reason_code = record.reason_code, reason_since = record.reason_since, reason_told = record.reason_told,
    failures_told = record.failures_told
from jsonb_to_recordset($1::jsonb) as record (
    id bigint, events_due_at timestamptz, events_checked_at timestamptz, reason_code text,
    reason_since timestamptz, reason_told boolean, failures_told bigint)
where orders.id = record.id
