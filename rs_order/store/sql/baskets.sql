-- name: of_owner
-- The interactive basket of an owner: a row for each dataset selection with its searches, or one without; one without a
-- basket if there is none. Each row says whether the tenant is in maintenance. $1 owner, $2 tenant.
select exists (select from rs_order.tenant where name = $2 and active and maintenance) as in_maintenance,
       basket.id as basket, basket.version, selected.id, dataset_urn, dataset_label, products_count, files_count,
       files_bytes, type_totals, file_kinds, file_name_pattern, process_id, process_parameters,
       (select jsonb_agg(to_jsonb(dated) order by selection_date, position)
        from dated_selection dated where dataset_selection_id = selected.id) as searches
from (select) as one
left join basket on owner = $1 and order_id is null
left join dataset_selection selected on basket_id = basket.id
order by selected.id

-- name: create
-- An interactive basket, unless the owner has one. $1 owner.
insert into basket (owner) values ($1) on conflict (owner) where order_id is null do nothing

-- name: delete
-- $1 owner.
delete from basket where owner = $1 and order_id is null

-- name: change
-- Change an interactive basket that has not changed since it was read, or create it, unless the owner has one. Return its
-- id with those of the dataset selections that are written. No row: another writer was faster.
-- $1 id, or null for a new basket, $2 version, $3 owner, $4 ids of dataset selections to remove, $5 records to write, each
-- with its new searches; those without an id get one, in their order, $6 dataset selections and $7 instants of the searches
-- to remove. Arrays stand in sub-selects: the planner would look into them, and plan each execution anew.
with changed as (
    update basket set version = version + 1
    where id = $1 and version = $2 and order_id is null
    returning id
), created as (
    insert into basket (owner, version)
    select $3, 1 where $1::bigint is null
    on conflict (owner) where order_id is null do nothing
    returning id
), basket_now as (
    select id from changed union all select id from created
), removed as (
    delete from dataset_selection
    where id = any ((select $4::bigint[])::bigint[]) and basket_id = (select id from basket_now)
), given as materialized (
    select basket_now.id as of_basket, record.*,
           case when dataset_urn is not null
                then coalesce(record.id, nextval(pg_get_serial_sequence('dataset_selection', 'id')))
           end as used_id
    from basket_now
    left join jsonb_to_recordset($5::jsonb) as record (
        id bigint, dataset_urn text, dataset_label text, products_count bigint, files_count bigint,
        files_bytes bigint, type_totals jsonb, file_kinds text[], file_name_pattern text,
        process_id uuid, process_parameters jsonb, searches jsonb) on true
), put as (
    insert into dataset_selection (id, basket_id, dataset_urn, dataset_label, products_count, files_count,
        files_bytes, type_totals, file_kinds, file_name_pattern, process_id, process_parameters)
    select used_id, of_basket, dataset_urn, dataset_label, products_count, files_count,
        files_bytes, type_totals, file_kinds, file_name_pattern, process_id, process_parameters
    from given where used_id is not null
    on conflict (id) do update
    set products_count = excluded.products_count, files_count = excluded.files_count,
        files_bytes = excluded.files_bytes, type_totals = excluded.type_totals,
        file_kinds = excluded.file_kinds, file_name_pattern = excluded.file_name_pattern,
        process_id = excluded.process_id, process_parameters = excluded.process_parameters
), added as (
    insert into dated_selection (
        dataset_selection_id, selection_date, position, request, products_count, type_totals)
    select used_id, search.*
    from given
    cross join lateral jsonb_to_recordset(searches) as search (
        selection_date timestamptz, position integer, request jsonb, products_count bigint, type_totals jsonb)
), removed_searches as (
    delete from dated_selection using unnest((select $6::bigint[]), (select $7::timestamptz[])) as gone (id, at)
    where dataset_selection_id = gone.id and selection_date = gone.at and exists (select from basket_now)
)
select of_basket, dataset_urn, used_id from given

-- name: put_selections
-- Insert dataset selections, each with an id, in the order of the records, and their searches. $1 records.
with given as materialized (
    select record.*, nextval(pg_get_serial_sequence('dataset_selection', 'id')) as used_id
    from jsonb_to_recordset($1::jsonb) as record (
        basket_id bigint, dataset_urn text, dataset_label text, products_count bigint,
        files_count bigint, files_bytes bigint, type_totals jsonb, file_kinds text[], file_name_pattern text,
        process_id uuid, process_parameters jsonb, searches jsonb)
), put as (
    insert into dataset_selection (id, basket_id, dataset_urn, dataset_label, products_count, files_count,
        files_bytes, type_totals, file_kinds, file_name_pattern, process_id, process_parameters)
    select used_id, basket_id, dataset_urn, dataset_label, products_count, files_count,
        files_bytes, type_totals, file_kinds, file_name_pattern, process_id, process_parameters
    from given
)
insert into dated_selection (dataset_selection_id, selection_date, position, request, products_count, type_totals)
select used_id, search.*
from given
cross join lateral jsonb_to_recordset(searches) as search (
    selection_date timestamptz, position integer, request jsonb, products_count bigint, type_totals jsonb)
