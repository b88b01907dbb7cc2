-- Rows of a large Java service: {orders} orders of {files} files each, in sub-orders of {size} files (moving-in.md M8).
-- One order in fifty is under way: its last sub-order is pending.
-- `load_large_source` fills in the numbers, and runs this after java_schema.sql, without indexes of t_data_file.

-- The rows are right as they are made, and can be made again: neither their references nor a log of them is needed.
set session_replication_role = replica;
alter table t_data_file set unlogged;

insert into t_order (id, available_count, avail_count_update_date, creation_date, expiration_date, files_in_error, owner,
    percent_complete, status, status_date, waiting_for_user, label, correlation_id)
select id, {files} - case when id % 50 = 0 then {size} else 0 end, timestamp '2025-01-01',
    timestamp '2020-01-01' + id * interval '20 minutes', timestamp '2999-01-01', 0, 'user' || id % 1000 || '@example.org',
    case when id % 50 = 0 then 100 * ({files} - {size}) / {files} else 100 end,
    case when id % 50 = 0 then 'RUNNING' else 'DONE' end,
    timestamp '2025-01-01', true, 'Order ' || id, 'correlation-' || id
from generate_series(1, {orders}) as id;

-- Task ids: for each order its dataset task, then its sub-orders.
insert into t_task (id, parent_id)
select (id - 1) * ({files} / {size} + 1) + 1, null from generate_series(1, {orders}) as id;
insert into t_task (id, parent_id)
select (id - 1) * ({files} / {size} + 1) + 1 + part, (id - 1) * ({files} / {size} + 1) + 1
from generate_series(1, {orders}) as id, generate_series(1, {files} / {size}) as part;

insert into t_dataset_task (id, order_id, dataset_ip_id, dataset_label, files_count, files_size, objects_count,
    selection_requests)
select (id - 1) * ({files} / {size} + 1) + 1, id, 'URN:AIP:DATASET:demo:1:V1', 'Dataset', {files}, 1000::bigint * {files},
    {files}, '[{"engineType": "legacy", "selectionDate": "2025-01-01T00:00:00Z", "searchParameters": {"q": ["*"]}}]'
from generate_series(1, {orders}) as id;

insert into t_files_task (id, ended, order_id, owner, waiting_for_user)
select (id - 1) * ({files} / {size} + 1) + 1 + part, false, id, 'user' || id % 1000 || '@example.org',
    not (id % 50 = 0 and part = {files} / {size})
from generate_series(1, {orders}) as id, generate_series(1, {files} / {size}) as part;

insert into t_data_file (id, checksum, checksum_algo, data_objects_ip_id, mime_type, name, online, order_id, size, state,
    url, files_task_id, data_type, reference, product_id, version)
select (id - 1)::bigint * {files} + number, md5(id || '-' || number), 'MD5',
    'URN:AIP:DATA:demo:' || md5(number || '-' || id) || ':V1', 'application/x-netcdf', 'file_' || number || '.nc', false,
    id, 1000, case when id % 50 = 0 and number > {files} - {size} then 'PENDING' else 'AVAILABLE' end,
    'https://regards.example.org/api/v1/rs-catalog/downloads/product/files/' || number,
    (id - 1) * ({files} / {size} + 1) + 1 + (number - 1) / {size} + 1, 'RAWDATA', false, 'product_' || number, 1
from generate_series(1, {orders}) as id, generate_series(1, {files}) as number;

insert into t_basket (id, owner) select id, 'ORDER_' || id from generate_series(1, {orders}) as id;
insert into t_basket_dataset (id, dataset_ip_id, dataset_label, files_count, files_size, objects_count, basket_id,
    file_types_sizes, file_types_count)
select id, 'URN:AIP:DATASET:demo:1:V1', 'Dataset', {files}, 1000::bigint * {files}, {files}, id,
    jsonb_build_object('RAWDATA', 1000::bigint * {files}), jsonb_build_object('RAWDATA', {files})
from generate_series(1, {orders}) as id;
insert into t_basket_ds_item (basket_dataset_id, date, files_count, files_size, objects_count, selection_request,
    file_types_sizes, file_types_count)
select id, timestamp '2025-01-01', 0, 0, {files},
    '{"engineType": "legacy", "selectionDate": "2025-01-01T00:00:00Z", "searchParameters": {"q": ["*"]}}', '{}', '{}'
from generate_series(1, {orders}) as id;
