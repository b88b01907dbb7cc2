-- name: begin
-- $1 order id, $2 its status before.
insert into retry (order_id, status_before) values ($1, $2)
returning status_before, dataset_task_id, data_file_id, storage_sub_order_id, external_sub_order_id,
          first_sub_order_id, announced_slices

-- name: cursor
-- $1 order id.
select status_before, dataset_task_id, data_file_id, storage_sub_order_id, external_sub_order_id,
       first_sub_order_id, announced_slices
from retry where order_id = $1

-- name: advance
-- $1 order id, $2 dataset task, $3 file, $4 open storage sub-order, $5 open external sub-order,
-- $6 first new sub-order that isn't announced, $7 announced slices.
update retry
set dataset_task_id = $2, data_file_id = $3, storage_sub_order_id = $4, external_sub_order_id = $5,
    first_sub_order_id = $6, announced_slices = $7
where order_id = $1

-- name: finish
-- $1 order ids.
delete from retry where order_id = any ($1)

-- name: files_in_error
-- The next files to be retried. Their order is locked, so they don't change meanwhile. Stored files without a
-- checksum are left out: storage can't be asked for them. The sort order and the row comparison fit only the
-- index of files in error: the planner expects few of them, and would otherwise read and sort all.
-- $1 order, $2 dataset task, $3 file, $4 limit.
select file.id, file.dataset_task_id, file.sub_order_id, sub_order.kind, file.state, file.size
from data_file file
cross join lateral (select kind from sub_order where id = file.sub_order_id offset 0) as sub_order
where (file.order_id, file.dataset_task_id, file.id) > ($1, $2, $3) and file.order_id <= $1
  and file.state in ('ERROR', 'DOWNLOAD_ERROR', 'PROCESSING_ERROR')
  and (file.checksum is not null or sub_order.kind = 'EXTERNAL')
order by file.order_id, file.dataset_task_id, file.id
limit $4

-- name: move_files
-- Put files in other sub-orders; their order is locked. $1 files, $2 sub-orders, $3 states.
update data_file file
set sub_order_id = move.sub_order_id, state = move.state, reason_code = null, reason = null
from unnest($1::bigint[], $2::bigint[], $3::text[]) as move (id, sub_order_id, state)
where file.id = move.id
