-- name: cursors
-- $1 order ids.
select order_id, selection, page, storage_sub_order_id, external_sub_order_id, products, attempts, unavailable_since,
       processed, pass, pass_total, pass_products, pass_page_size,
       exists (select from retry where retry.order_id = completion.order_id) as retrying
from completion where order_id = any ($1)

-- name: positions
-- How far the completions of orders have come, each with the dataset selection of a step. Nothing is locked.
-- The limit keeps the planner from reading all completions. $1 order ids, $2 indexes of the selections. Arrays stand
-- in sub-selects: the planner would look into them, and plan each execution anew.
select step.selection as of_step, orders.id, owner, role, correlation_id, status, sub_order_hours, expires_at,
       message, sub_orders, waiting_sub_orders, request_id, front_url,
       pending_files, pending_bytes,
       available_files, available_bytes,
       downloaded_files, downloaded_bytes,
       download_error_files, download_error_bytes,
       error_files, error_bytes,
       processing_error_files, processing_error_bytes,
       completion.selection, page, storage_sub_order_id, external_sub_order_id, products, attempts,
       unavailable_since, processed, pass, pass_total, pass_products, pass_page_size,
       selected.content as selected, selected.follows
from unnest((select $1::bigint[]), (select $2::integer[])) as step (order_id, selection)
join orders on orders.id = step.order_id
join lateral (
    select * from completion where completion.order_id = step.order_id limit 1
) as completion on true
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
        offset step.selection limit 1
    )
) as selected on true

-- name: advance
-- Write down how far completions have come. $1 records.
update completion
set selection = record.selection, page = record.page, storage_sub_order_id = record.storage_sub_order_id,
    external_sub_order_id = record.external_sub_order_id, products = record.products, attempts = record.attempts,
    unavailable_since = record.unavailable_since, processed = record.processed, pass = record.pass,
    pass_total = record.pass_total, pass_products = record.pass_products, pass_page_size = record.pass_page_size
from jsonb_to_recordset($1::jsonb) as record (
    order_id bigint, selection integer, page integer, storage_sub_order_id bigint, external_sub_order_id bigint,
    products bigint, attempts integer, unavailable_since timestamptz, processed jsonb, pass smallint,
    pass_total bigint, pass_products bigint, pass_page_size integer)
where completion.order_id = record.order_id

-- name: finish
-- $1 order ids.
delete from completion where order_id = any ($1)

-- name: forget_counts
-- Forget what was counted of an order whose files are deleted. $1 order id.
update dataset_task set products_count = 0, files_count = 0, files_bytes = 0 where order_id = $1

-- name: dataset_tasks
-- The dataset tasks of selections of different orders, created if there are none. A row that isn't new was locked by
-- this statement, which xmax shows. $1 records.
insert into dataset_task (order_id, dataset_urn, dataset_label, products_count, file_kinds, file_name_pattern,
    files_count, files_bytes, process_id, process_parameters, process_info)
select *
from jsonb_to_recordset($1::jsonb) as record (
    order_id bigint, dataset_urn text, dataset_label text, products_count bigint, file_kinds text[],
    file_name_pattern text, files_count bigint, files_bytes bigint, process_id uuid, process_parameters jsonb,
    process_info jsonb)
on conflict on constraint dataset_task_once do update set dataset_label = excluded.dataset_label
returning id, order_id, xmax = 0 as created

-- name: known_files
-- The files among these that the dataset task has already. $1 dataset task, $2 identities.
select identity from data_file where dataset_task_id = $1 and identity = any ($2)

-- name: count_files
-- $1 dataset tasks, $2 more files of each, $3 more bytes.
update dataset_task set files_count = files_count + added.files, files_bytes = files_bytes + added.bytes
from unnest($1::bigint[], $2::bigint[], $3::bigint[]) as added (id, files, bytes)
where dataset_task.id = added.id
