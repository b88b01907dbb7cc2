-- name: of_owner
-- The interactive basket of an owner: a row for each dataset selection with its searches, or one without.
-- $1 owner.
select basket.id as basket, basket.version, selected.id, dataset_urn, dataset_label, products_count, files_count,
       files_bytes, type_totals, file_kinds, file_name_pattern, process_id, process_parameters,
       (select jsonb_agg(to_jsonb(dated) order by selection_date, position)
        from dated_selection dated where dataset_selection_id = selected.id) as searches
from basket
left join dataset_selection selected on basket_id = basket.id
where owner = $1 and order_id is null
order by selected.id

-- name: create
-- An interactive basket, unless the owner has one: then no row. $1 owner.
insert into basket (owner) values ($1) on conflict (owner) where order_id is null do nothing
returning id, version

-- name: delete
-- $1 owner.
delete from basket where owner = $1 and order_id is null

-- name: change
-- Lock an interactive basket that has not changed since it was read, and count the change.
-- $1 id, $2 version. No row: another writer was faster.
update basket set version = version + 1
where id = $1 and version = $2 and order_id is null
returning version

-- name: remove_dataset_selections
-- $1 basket id, $2 ids.
delete from dataset_selection where basket_id = $1 and id = any ($2)

-- name: remove_dated_selections
-- Delete the searches before they are written again. $1 dataset selection ids.
delete from dated_selection where dataset_selection_id = any ($1)

-- name: put_selections
-- Insert or update dataset selections; those without an id get one, in the order of the records. Insert their
-- searches. $1 records.
with given as materialized (
    select record.*, coalesce(id, nextval(pg_get_serial_sequence('dataset_selection', 'id'))) as used_id
    from jsonb_to_recordset($1::jsonb) as record (
        id bigint, basket_id bigint, dataset_urn text, dataset_label text, products_count bigint,
        files_count bigint, files_bytes bigint, type_totals jsonb, file_kinds text[], file_name_pattern text,
        process_id uuid, process_parameters jsonb, searches jsonb)
), put as (
    insert into dataset_selection (id, basket_id, dataset_urn, dataset_label, products_count, files_count,
        files_bytes, type_totals, file_kinds, file_name_pattern, process_id, process_parameters)
    select used_id, basket_id, dataset_urn, dataset_label, products_count, files_count,
        files_bytes, type_totals, file_kinds, file_name_pattern, process_id, process_parameters
    from given
    on conflict (id) do update
    set products_count = excluded.products_count, files_count = excluded.files_count,
        files_bytes = excluded.files_bytes, type_totals = excluded.type_totals,
        file_kinds = excluded.file_kinds, file_name_pattern = excluded.file_name_pattern,
        process_id = excluded.process_id, process_parameters = excluded.process_parameters
)
insert into dated_selection (dataset_selection_id, selection_date, position, request, products_count, type_totals)
select used_id, search.*
from given
cross join lateral jsonb_to_recordset(searches) as search (
    selection_date timestamptz, position integer, request jsonb, products_count bigint, type_totals jsonb)
