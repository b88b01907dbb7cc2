-- name: count_of_dataset
-- How many files a dataset of an order has; nothing when the order hasn't this dataset. None are left of an
-- order that is gone, nor of one whose completion failed. $1 order, $2 dataset task.
select case when orders.status in ('DELETED', 'EXPIRED') then 0
            else least(task.files_count, pending_files + available_files + downloaded_files
                + download_error_files + error_files + processing_error_files)
       end
from dataset_task task
join orders on orders.id = task.order_id
where task.id = $2 and task.order_id = $1

-- name: of_dataset
-- A page of them; pages far behind are counted off in the index alone. $1 dataset task, $2 how many,
-- $3 how many before.
with listed as (
    select id from data_file where dataset_task_id = $1 order by id limit $2 offset $3
)
select file.id, file.state, file.reason, file.order_id, file.sub_order_id, file.product_urn, file.product_id,
       file.product_version, file.data_type, file.name, file.url, file.external, file.online, file.size,
       file.checksum, file.checksum_algorithm, file.mime_type
from listed
join data_file file on file.id = listed.id
order by file.id

-- name: count_available
-- How many files of an order can be downloaded. $1 order.
select case when status in ('DELETED', 'EXPIRED') then 0 else available_files end from orders where id = $1

-- name: available
-- A page of them. $1 order, $2 how many, $3 how many before. The order by clauses are replaced by others.
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
select available_files from sub_order where id = $2 and order_id = $1

-- name: available_of_sub_order
-- A page of the files of a sub-order that can be downloaded. $1 order, $2 sub-order, $3 how many, $4 how
-- many before. Materialized: a sub-order is small, and its order, through which the planner might look for
-- its first files by id, may be large. The order by clause is replaced by another.
with file as materialized (
    select * from data_file where sub_order_id = $2 and order_id = $1 and state = 'AVAILABLE'
)
select file.id, file.state, file.reason, file.order_id, file.sub_order_id, file.product_urn, file.product_id,
       file.product_version, file.data_type, file.name, file.url, file.external, file.online, file.size,
       file.checksum, file.checksum_algorithm, file.mime_type
from file
order by file.id
limit $3 offset $4
