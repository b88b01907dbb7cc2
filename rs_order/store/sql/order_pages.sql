-- name: of_owner
-- A page of an owner's orders, newest first, and how many there are, counted up to a limit. Deleted orders are left out.
-- Whether an order has a process is read as in order_views.sql. $1 owner, $2 statuses or null, $3 part of the label or null, $4 limit, $5 offset, $6 limit of the count.
with chosen as not materialized (
    select id, created_at from orders
    where owner = $1 and status <> 'DELETED'
      and ($2::text[] is null or status = any ($2))
      and ($3::text is null or strpos(lower(label), lower($3)) > 0)
), page as (
    select id from chosen order by created_at desc, id desc limit $4 offset $5
)
select orders.id, owner, label, correlation_id, created_at, expires_at, status, status_at, message, sub_orders,
       waiting_sub_orders, orders.files_known,
       status in ('FAILED', 'DONE_WITH_WARNING') and orders.has_process as has_process,
       pending_files, pending_bytes,
       available_files, available_bytes,
       downloaded_files, downloaded_bytes,
       download_error_files, download_error_bytes,
       error_files, error_bytes,
       processing_error_files, processing_error_bytes,
       (select count(*) from (select from chosen limit $6) counted) as total
from page
join orders on orders.id = page.id
order by created_at desc, orders.id desc

-- name: datasets
-- The datasets of an order by label. $1 order.
select id, dataset_label from dataset_task where order_id = $1 order by dataset_label collate "C", id

-- name: files
-- Files of an order by ascending id. $1 order, $2 states or null, $3 dataset task or null, $4 part of the name or null,
-- $5 after this id, $6 limit.
select id, state, reason, reason_code, name, size, data_type, dataset_task_id, sub_order_id, external, product_id
from data_file
where order_id = $1 and id > $5
  and ($2::text[] is null or state = any ($2))
  and ($3::bigint is null or dataset_task_id = $3)
  and ($4::text is null or strpos(lower(name), lower($4)) > 0)
order by id
limit $6

-- name: moves
-- The first moves of an order and its sub-orders, in their order. $1 order, $2 limit.
select at, sub_order_id, before, after, reason, actor from history
where order_id = $1 and data_file_id is null
order by id
limit $2

-- name: orders
-- Orders by id. $1 ids.
select orders.id, owner, label, correlation_id, created_at, expires_at, status, status_at, message, sub_orders,
       waiting_sub_orders, orders.files_known,
       status in ('FAILED', 'DONE_WITH_WARNING') and orders.has_process as has_process,
       pending_files, pending_bytes,
       available_files, available_bytes,
       downloaded_files, downloaded_bytes,
       download_error_files, download_error_bytes,
       error_files, error_bytes,
       processing_error_files, processing_error_bytes
from orders where orders.id = any ($1)
order by orders.id desc

-- name: found
-- A page of the orders of all owners that a search finds, and how many there are, counted up to a limit. Null is no
-- condition. $1 part of the owner, $2 statuses, $3 part of the label, $4 correlation id, $5 id, $6 created from, $7 created
-- before, $8 limit, $9 offset, $10 limit of the count. Another sort order replaces the order by clauses.
with page as (
    select orders.id from orders
    where ($1::text is null or strpos(lower(orders.owner), lower($1)) > 0)
      and ($2::text[] is null or orders.status = any ($2))
      and ($3::text is null or strpos(lower(orders.label), lower($3)) > 0)
      and ($4::text is null or orders.correlation_id = $4)
      and ($5::bigint is null or orders.id = $5)
      and orders.created_at >= coalesce($6::timestamptz, '-infinity')
      and orders.created_at < coalesce($7::timestamptz, 'infinity')
    order by orders.created_at desc, orders.id desc
    limit $8 offset $9
)
select orders.id, owner, label, correlation_id, created_at, expires_at, status, status_at, message, sub_orders,
       waiting_sub_orders, orders.files_known,
       status in ('FAILED', 'DONE_WITH_WARNING') and orders.has_process as has_process,
       pending_files, pending_bytes,
       available_files, available_bytes,
       downloaded_files, downloaded_bytes,
       download_error_files, download_error_bytes,
       error_files, error_bytes,
       processing_error_files, processing_error_bytes,
       (select count(*) from (
           select from orders
           where ($1::text is null or strpos(lower(orders.owner), lower($1)) > 0)
             and ($2::text[] is null or orders.status = any ($2))
             and ($3::text is null or strpos(lower(orders.label), lower($3)) > 0)
             and ($4::text is null or orders.correlation_id = $4)
             and ($5::bigint is null or orders.id = $5)
             and orders.created_at >= coalesce($6::timestamptz, '-infinity')
             and orders.created_at < coalesce($7::timestamptz, 'infinity')
           limit $10
       ) counted) as total
from page
join orders on orders.id = page.id
order by orders.created_at desc, orders.id desc

-- name: found_ids
-- The ids of the orders that a search finds, in ascending order. $1 to $7 as above, $8 after this id, $9 limit.
select orders.id from orders
    where ($1::text is null or strpos(lower(orders.owner), lower($1)) > 0)
      and ($2::text[] is null or orders.status = any ($2))
      and ($3::text is null or strpos(lower(orders.label), lower($3)) > 0)
      and ($4::text is null or orders.correlation_id = $4)
      and ($5::bigint is null or orders.id = $5)
      and orders.created_at >= coalesce($6::timestamptz, '-infinity')
      and orders.created_at < coalesce($7::timestamptz, 'infinity')
      and orders.id > $8
order by orders.id
limit $9

-- name: by_status
-- How many orders have each status; the deleted ones are left out.
select status, count(*) as orders from orders where status <> 'DELETED' group by status
