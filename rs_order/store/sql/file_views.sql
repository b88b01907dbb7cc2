-- name: of_dataset
-- The owner of an order, the number of files of one of its datasets, and a page of these files; a row without
-- a file if the page is empty. The number is null if the order hasn't this dataset. A deleted or expired order
-- has no files, nor has one whose completion failed or isn't finished. The offset is counted in the index alone.
-- $1 order, $2 dataset task, $3 limit, $4 offset.
with counted as (
    select orders.owner,
           case when task.id is null then null
                when orders.status in ('DELETED', 'EXPIRED') or not orders.files_known then 0
                else least(task.files_count, pending_files + available_files + downloaded_files
                    + download_error_files + error_files + processing_error_files)
           end as total
    from orders
    left join dataset_task task on task.order_id = orders.id and task.id = $2
    where orders.id = $1
), listed as (
    select id from data_file
    where dataset_task_id = $2 and (select total from counted) > 0
    order by id
    limit $3 offset $4
)
select counted.owner, counted.total,
       file.id, file.state, file.reason, file.order_id, file.sub_order_id, file.product_urn, file.product_id,
       file.product_version, file.data_type, file.name, file.url, file.external, file.online, file.size,
       file.checksum, file.checksum_algorithm, file.mime_type
from counted
left join (listed join data_file file on file.id = listed.id) on true
order by file.id

-- name: count_available
-- Count the files of an order that can be downloaded. $1 order.
select case when status in ('DELETED', 'EXPIRED') or not orders.files_known then 0 else available_files end
    as files
from orders where id = $1

-- name: available
-- A page of these files. $1 order, $2 limit, $3 offset. Another sort order replaces the order by clauses.
with listed as (
    select file.id from data_file file
    where file.order_id = $1 and file.state = 'AVAILABLE'
    order by file.id
    limit $2 offset $3
)
select file.id, file.state, file.reason, file.order_id, file.sub_order_id, file.product_urn, file.product_id,
       file.product_version, file.data_type, file.name, file.url, file.external, file.online, file.size,
       file.checksum, file.checksum_algorithm, file.mime_type
from listed
join data_file file on file.id = listed.id
order by file.id

-- name: count_available_of_sub_order
-- $1 order, $2 sub-order.
select case when orders.files_known then sub_order.available_files else 0 end as files
from sub_order
join orders on orders.id = sub_order.order_id
where sub_order.id = $2 and sub_order.order_id = $1

-- name: available_of_sub_order
-- A page of the files of a sub-order that can be downloaded. $1 order, $2 sub-order, $3 limit, $4 offset.
-- Materialized: a sub-order is small, but the planner might search the files of its order, which may be large.
-- Another sort order replaces the order by clause.
with file as materialized (
    select * from data_file where sub_order_id = $2 and order_id = $1 and state = 'AVAILABLE'
)
select file.id, file.state, file.reason, file.order_id, file.sub_order_id, file.product_urn, file.product_id,
       file.product_version, file.data_type, file.name, file.url, file.external, file.online, file.size,
       file.checksum, file.checksum_algorithm, file.mime_type
from file
order by file.id
limit $3 offset $4
