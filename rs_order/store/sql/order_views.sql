-- name: orders
-- Orders to be shown, each with its dataset tasks by label if its files are known: a row per task, or one
-- without a task. Whether an order has a process counts only for a retry, and takes longer than the rest of its row: it is
-- read of those that may be retried. $1 ids.
select orders.id, owner, label, created_at, expires_at, status, status_at, waiting_sub_orders,
       orders.files_known,
       status in ('FAILED', 'DONE_WITH_WARNING') and orders.has_process as has_process,
       pending_files, pending_bytes,
       available_files, available_bytes,
       downloaded_files, downloaded_bytes,
       download_error_files, download_error_bytes,
       error_files, error_bytes,
       processing_error_files, processing_error_bytes,
       task.id as task_id, task.dataset_label, task.products_count, task.files_count, task.files_bytes,
       task.file_kinds, task.file_name_pattern, task.process_id, task.process_parameters
from orders
left join lateral (
    select * from dataset_task where order_id = orders.id and orders.files_known
    offset 0  -- else the planner may read all tasks to join them
) task on true
where orders.id = any ($1)
order by orders.id, task.dataset_label collate "C", task.id

-- name: owner
-- $1 order.
select owner from orders where id = $1

-- name: of_owner
-- A page of the list of an owner, newest first, as above, and the length of the list in each row; a row without an
-- order if the page is empty. $1 owner, $2 limit, $3 offset.
select counted.total, orders.id, owner, label, created_at, expires_at, status, status_at, waiting_sub_orders,
       orders.files_known,
       status in ('FAILED', 'DONE_WITH_WARNING') and orders.has_process as has_process,
       pending_files, pending_bytes,
       available_files, available_bytes,
       downloaded_files, downloaded_bytes,
       download_error_files, download_error_bytes,
       error_files, error_bytes,
       processing_error_files, processing_error_bytes,
       task.id as task_id, task.dataset_label, task.products_count, task.files_count, task.files_bytes,
       task.file_kinds, task.file_name_pattern, task.process_id, task.process_parameters
from (select count(*) as total from orders where owner = $1 and status <> 'DELETED') counted
left join unnest(array(
    select id from orders
    where owner = $1 and status <> 'DELETED'
    order by created_at desc, id desc
    limit $2 offset $3
)) with ordinality as listed (id, place) on true
left join orders on orders.id = listed.id
left join lateral (
    select * from dataset_task where order_id = orders.id and orders.files_known
    offset 0
) task on true
order by listed.place, task.dataset_label collate "C", task.id

-- name: count_found
-- Count the orders that a search finds; null is no condition. $1 part of the owner, $2 statuses, $3 earliest
-- and $4 latest creation, $5 whether files wait for their download.
select count(*) from orders
where ($1::text is null or strpos(owner, $1) > 0)
  and ($2::text[] is null or status = any ($2))
  and created_at >= coalesce($3::timestamptz, '-infinity')
  and created_at <= coalesce($4::timestamptz, 'infinity')
  and ($5::boolean is null or (waiting_sub_orders > 0 and orders.files_known) = $5)

-- name: found
-- A page of the orders that a search finds, as above. $1 to $5 as above, $6 limit, $7 offset. The order by clause
-- of the ids is replaced by one of these columns. Their values are those of the order's view.
select orders.id, owner, label, created_at, expires_at, status, status_at, waiting_sub_orders,
       orders.files_known,
       status in ('FAILED', 'DONE_WITH_WARNING') and orders.has_process as has_process,
       pending_files, pending_bytes,
       available_files, available_bytes,
       downloaded_files, downloaded_bytes,
       download_error_files, download_error_bytes,
       error_files, error_bytes,
       processing_error_files, processing_error_bytes,
       task.id as task_id, task.dataset_label, task.products_count, task.files_count, task.files_bytes,
       task.file_kinds, task.file_name_pattern, task.process_id, task.process_parameters
from unnest(array(
    select id
    from (
        select id, owner, label, created_at, expires_at, status, status_at,
               case when orders.files_known then error_files + processing_error_files else 0 end as errors,
               case when status in ('DELETED', 'EXPIRED') or not orders.files_known then 0
                    else available_files
               end as available,
               waiting_sub_orders > 0 and orders.files_known as waiting,
               case when not orders.files_known then 0
                    when pending_files = 0 then 100
                    when all_bytes > 0 then least(99, div(100 * (all_bytes - pending_bytes), all_bytes))
                    else least(99, div(100 * (all_files - pending_files), all_files))
               end as percent
        from orders
        cross join lateral (
            select pending_files::numeric + available_files + downloaded_files + download_error_files
                       + error_files + processing_error_files as all_files,
                   pending_bytes::numeric + available_bytes + downloaded_bytes + download_error_bytes
                       + error_bytes + processing_error_bytes as all_bytes
        ) total
        where ($1::text is null or strpos(owner, $1) > 0)
          and ($2::text[] is null or status = any ($2))
          and created_at >= coalesce($3::timestamptz, '-infinity')
          and created_at <= coalesce($4::timestamptz, 'infinity')
          and ($5::boolean is null or (waiting_sub_orders > 0 and orders.files_known) = $5)
    ) shown
    order by created_at desc, id desc
    limit $6 offset $7
)) with ordinality as listed (id, place)
join orders on orders.id = listed.id
left join lateral (
    select * from dataset_task where order_id = orders.id and orders.files_known
    offset 0
) task on true
order by listed.place, task.dataset_label collate "C", task.id

-- name: found_after
-- The next orders that a search finds, by ascending id. $1 to $5 as above, $6 after this id, $7 limit.
select id from orders
where ($1::text is null or strpos(owner, $1) > 0)
  and ($2::text[] is null or status = any ($2))
  and created_at >= coalesce($3::timestamptz, '-infinity')
  and created_at <= coalesce($4::timestamptz, 'infinity')
  and ($5::boolean is null or (waiting_sub_orders > 0 and orders.files_known) = $5)
  and id > $6
order by id
limit $7
