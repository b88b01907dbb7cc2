-- name: cursor
-- $1 order id.
select selection, page, storage_sub_order_id, external_sub_order_id, products, attempts, unavailable_since,
       processed, pass, pass_total, pass_products, pass_page_size,
       exists (select from retry where retry.order_id = completion.order_id) as retrying
from completion where order_id = $1

-- name: position
-- How far the completion of an order has come, with the dataset selection of a step. Nothing is locked.
-- $1 order id, $2 index of the selection.
select orders.id, owner, role, correlation_id, status, sub_order_hours, expires_at, message, sub_orders,
       waiting_sub_orders, request_id, front_url,
       pending_files, pending_bytes,
       available_files, available_bytes,
       downloaded_files, downloaded_bytes,
       download_error_files, download_error_bytes,
       error_files, error_bytes,
       processing_error_files, processing_error_bytes,
       completion.selection, page, storage_sub_order_id, external_sub_order_id, products, attempts,
       unavailable_since, processed, pass, pass_total, pass_products, pass_page_size,
       selected.content as selected, selected.follows
from orders
join completion on completion.order_id = orders.id
left join lateral (
    select to_jsonb(wanted) || jsonb_build_object('searches', (
               select coalesce(jsonb_agg(to_jsonb(dated) order by selection_date, position), '[]')
               from dated_selection dated where dated.dataset_selection_id = wanted.id
           )) as content,
           exists (
               select from dataset_selection next
               where next.basket_id = wanted.basket_id and next.id > wanted.id
           ) as follows
    from dataset_selection wanted
    where wanted.id = (
        select nth.id from dataset_selection nth
        join basket on basket.id = nth.basket_id
        where basket.order_id = orders.id
        order by nth.id
        offset $2 limit 1
    )
) as selected on true
where orders.id = $1

-- name: advance
-- $1 order id, $2 selection, $3 page, $4 open storage sub-order, $5 open external sub-order,
-- $6 products read, $7 attempts, $8 unavailable since, $9 batches of a processed selection, $10 pass,
-- $11 its total, $12 its products, $13 the size of its pages.
update completion
set selection = $2, page = $3, storage_sub_order_id = $4, external_sub_order_id = $5, products = $6,
    attempts = $7, unavailable_since = $8, processed = $9,
    pass = $10, pass_total = $11, pass_products = $12, pass_page_size = $13
where order_id = $1

-- name: finish
-- $1 order ids.
delete from completion where order_id = any ($1)

-- name: forget_counts
-- Forget what was counted of an order whose files are deleted. $1 order id.
update dataset_task set products_count = 0, files_count = 0, files_bytes = 0 where order_id = $1

-- name: dataset_task
-- The dataset task of a selection, created if there is none. $1 order id, $2 urn, $3 label, $4 products,
-- $5 file kinds, $6 pattern, $7 files and $8 bytes at the start, $9 process, $10 its parameters, $11 how
-- rs-processing describes it. A row that isn't new was locked by this statement, which xmax shows.
insert into dataset_task (order_id, dataset_urn, dataset_label, products_count, file_kinds, file_name_pattern,
    files_count, files_bytes, process_id, process_parameters, process_info)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
on conflict on constraint dataset_task_once do update set dataset_label = excluded.dataset_label
returning id, xmax = 0 as created

-- name: known_files
-- The files among these that the dataset task has already. $1 dataset task, $2 identities.
select identity from data_file where dataset_task_id = $1 and identity = any ($2)

-- name: count_files
-- $1 dataset task, $2 more files, $3 more bytes.
update dataset_task set files_count = files_count + $2, files_bytes = files_bytes + $3 where id = $1
