-- Reads the database of a Java service; the search path is its schema (domain.md 1.2). Nothing here writes.

-- name: missing_tables
-- $1 the tables that an import reads.
select name from unnest($1::text[]) as wanted (name)
where to_regclass(quote_ident(current_schema()) || '.' || quote_ident(name)) is null

-- name: working_jobs
-- Jobs that a service has kept alive in the last five minutes.
select id::text, class_name, last_heartbeat_date from t_job_info
where last_heartbeat_date > (clock_timestamp() at time zone 'UTC') - interval '5 minutes'
order by last_heartbeat_date desc limit 10

-- name: writers
-- Other sessions that have written to a table and not ended their transaction.
select distinct activity.pid, coalesce(activity.application_name, '') as application, class.relname as relation
from pg_locks held
join pg_class class on class.oid = held.relation
join pg_namespace namespace on namespace.oid = class.relnamespace
left join pg_stat_activity activity on activity.pid = held.pid
where held.database = (select oid from pg_database where datname = current_database())
  and namespace.nspname = current_schema() and class.relkind = 'r' and held.pid <> pg_backend_pid()
  and held.granted
  and held.mode in ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
order by activity.pid, relation limit 10

-- name: sizes
-- The ids that orders or files have as their order, ascending, with the files of each.
select coalesce(t_order.id, counted.order_id) as id, coalesce(counted.files, 0) as files,
    coalesce(counted.bytes, 0)::bigint as bytes
from t_order
full join (
    select order_id, count(*) as files, sum(greatest(size, 0)) as bytes
    from t_data_file where order_id is not null group by order_id
) as counted on counted.order_id = t_order.id
order by 1

-- name: basket_ids
select id from t_basket order by id

-- name: labels_taken_twice
select owner, label, array_agg(id order by id) as ids from t_order group by owner, label having count(*) > 1

-- name: labels_of
-- $1 owner.
select label from t_order where owner = $1

-- name: highest
-- The highest id of each table, also of those that its sequence gave and that were deleted since.
select name,
    greatest(highest, (
        select last_value from pg_sequences where schemaname = current_schema() and sequencename = sequence)) as id
from (
    select 'orders' as name, 'seq_order' as sequence, (select max(id) from t_order) as highest
    union all select 'dataset_task', 'seq_task', (select max(id) from t_task)
    union all select 'sub_order', 'seq_task', (select max(id) from t_task)
    union all select 'data_file', 'seq_data_file', (select max(id) from t_data_file)
    union all select 'basket', 'seq_basket', (select max(id) from t_basket)
    union all select 'dataset_selection', 'seq_ds_items_sel', (select max(id) from t_basket_dataset)
) as counted

-- name: orders
-- $1 first id, $2 last id.
select * from t_order where id between $1 and $2 order by id

-- name: dataset_tasks
-- $1 first order, $2 last order.
select * from t_dataset_task where order_id between $1 and $2 order by order_id, id

-- name: sub_orders
-- $1 first order, $2 last order.
select files_task.id, files_task.order_id, coalesce(ended, false) as ended,
    coalesce(waiting_for_user, false) as waiting, parent_id, job.id as job_id, job.class_name,
    job.status as job_status
from t_files_task files_task
left join t_task task on task.id = files_task.id
left join ta_task_job_info of_task on of_task.task_id = files_task.id
left join t_job_info job on job.id = of_task.job_info_id
where files_task.order_id between $1 and $2
order by files_task.id

-- name: job_parameters
-- $1 jobs, $2 names.
select job_id, name, value from t_job_parameters where job_id = any ($1::uuid[]) and name = any ($2::text[])

-- name: roles
-- The role that owners had in their last job. $1 owners.
select distinct on (job.owner) job.owner, role.value
from t_job_info job
join t_job_parameters role on role.job_id = job.id and role.name = 'userRole'
where job.owner = any ($1::text[])
order by job.owner, job.status_date desc nulls last

-- name: shapes
-- The files of each sub-order, as far as they say of which kind it is. $1 first order, $2 last order.
select order_id, files_task_id,
    bool_and(coalesce(reference, false) or coalesce(url, '') like '%/dam') as external,
    bool_and(coalesce(reference, false) and data_type = 'OTHER') as made_by_process
from t_data_file where order_id between $1 and $2
group by order_id, files_task_id

-- name: repeated_files
-- Files that a dataset task has already, under another id. $1 first order, $2 last order.
select unnest((array_agg(file.id order by file.id))[2:]) as id
from t_data_file file
join t_task task on task.id = file.files_task_id
where file.order_id between $1 and $2
group by file.order_id, task.parent_id, file.data_objects_ip_id, file.name,
    coalesce(nullif(file.checksum, ''), file.url)
having count(*) > 1

-- name: same_product
-- Files without a sub-order, each with one that has a file of the same product. $1 orders.
select lost.id, min(found.files_task_id) as files_task_id
from t_data_file lost
join t_data_file found on found.order_id = lost.order_id and found.files_task_id is not null
    and found.data_objects_ip_id = lost.data_objects_ip_id
where lost.order_id = any ($1::bigint[]) and lost.files_task_id is null
group by lost.id

-- name: files
-- $1 first order, $2 last order.
select id, order_id, files_task_id, coalesce(data_objects_ip_id, '') as product_urn, product_id,
    coalesce(version, 0) as product_version, coalesce(data_type, 'RAWDATA') as data_type, name, url,
    coalesce(reference, false) as external, coalesce(online, false) as online, size, checksum, checksum_algo,
    mime_type, state, download_error_reason
from t_data_file where order_id between $1 and $2
order by order_id, id

-- name: baskets
-- $1 first id, $2 last id.
select id, owner from t_basket where id between $1 and $2 order by id

-- name: dataset_selections
-- $1 first basket, $2 last basket.
select * from t_basket_dataset where basket_id between $1 and $2 order by basket_id, id

-- name: dated_selections
-- $1 dataset selections.
select * from t_basket_ds_item where basket_dataset_id = any ($1::bigint[]) order by basket_dataset_id, date

-- name: searched_by_orders
-- The selections of orders that have a search, with their filters. $1 owners of the baskets.
select basket.owner, selection.id, file_selection_description, process_dataset_desc
from t_basket basket
join t_basket_dataset selection on selection.basket_id = basket.id
where basket.owner = any ($1::text[])
  and exists (select from t_basket_ds_item where basket_dataset_id = selection.id)

-- name: owners_of_orders
-- $1 ids.
select id, owner from t_order where id = any ($1::bigint[])

-- name: strays
-- Rows that belong to no order or basket, so that no slice has them.
select 'files' as name, id, coalesce(state, '') as state, coalesce(greatest(size, 0), 0) as bytes
from t_data_file where order_id is null
union all
select 'sub_orders', id, '', 0 from t_files_task where order_id is null
union all
select 'dataset_tasks', id, '', 0 from t_dataset_task where order_id is null
union all
select 'dataset_selections', id, '', 0 from t_basket_dataset
where basket_id is null or not exists (select from t_basket where id = basket_id)
union all
select 'dated_selections', basket_dataset_id, '', 0 from t_basket_ds_item item
where not exists (
    select from t_basket_dataset selection
    join t_basket basket on basket.id = selection.basket_id
    where selection.id = item.basket_dataset_id)

-- name: waiting_requests
-- Order requests and cancel requests that the service has taken from their queue and not answered.
select job.id::text as job_id, job.class_name, job.status, parameter.name, parameter.value
from t_job_info job
join t_job_parameters parameter on parameter.job_id = job.id
where job.status in ('PENDING', 'QUEUED', 'TO_BE_RUN', 'RUNNING', 'FAILED', 'ABORTED')
  and parameter.name in ('ORDER_REQUEST_EVENT', 'ORDERS_TO_CANCEL')
order by job.id

-- name: answered_requests
-- Those of these requests that became orders. $1 correlation ids, $2 owners.
select correlation_id, owner from t_order
where (correlation_id, owner) in (select * from unnest($1::text[], $2::text[]))

-- name: settings
select name, value from t_dynamic_tenant_setting order by name

-- name: templates
select code, coalesce(content, '') as content from t_template order by code

-- name: count
-- Rows and bytes of every table that is copied, by status, state or ''.
select 'orders' as name, status::text as state, count(*) as rows, 0::bigint as bytes from t_order group by status
union all
select 'dataset_tasks', '', count(*), 0 from t_dataset_task
union all
select 'sub_orders', '', count(*), 0 from t_files_task
union all
select 'files', coalesce(state, ''), count(*), coalesce(sum(greatest(size, 0)), 0)::bigint
from t_data_file group by 2
union all
select 'baskets', '', count(*), 0 from t_basket
union all
select 'dataset_selections', '', count(*), 0 from t_basket_dataset
union all
select 'dated_selections', '', count(*), 0 from t_basket_ds_item
