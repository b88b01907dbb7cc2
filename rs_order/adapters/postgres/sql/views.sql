-- name: orders
-- Orders to be shown. $1 ids.
select id, owner, label, created_at, expires_at, status, status_at, waiting_sub_orders,
       pending_files, pending_bytes,
       available_files, available_bytes,
       downloaded_files, downloaded_bytes,
       download_error_files, download_error_bytes,
       error_files, error_bytes,
       processing_error_files, processing_error_bytes
from orders
where id = any ($1)

-- name: dataset_tasks
-- What these orders take of each dataset, by label. $1 order ids.
select id, order_id, dataset_label, products_count, files_count, files_bytes, file_kinds, file_name_pattern,
       process_id, process_parameters
from dataset_task
where order_id = any ($1)
order by order_id, dataset_label collate "C", id
