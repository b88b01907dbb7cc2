-- name: of_owner
-- The interactive basket of an owner. $1 owner.
select id, owner, version from basket where owner = $1 and order_id is null

-- name: create
-- An interactive basket, unless the owner has one. $1 owner.
insert into basket (owner) values ($1) on conflict (owner) where order_id is null do nothing

-- name: delete
-- $1 owner.
delete from basket where owner = $1 and order_id is null

-- name: change
-- Lock an interactive basket that has not changed since it was read, and count the change.
-- $1 id, $2 version. No row: another writer was faster.
update basket set version = version + 1
where id = $1 and version = $2 and order_id is null
returning version

-- name: dataset_selections
-- The dataset selections of a basket. $1 basket id.
select id, dataset_urn, dataset_label, products_count, files_count, files_bytes, type_totals, file_kinds,
       file_name_pattern, process_id, process_parameters
from dataset_selection where basket_id = $1
order by id

-- name: dated_selections
-- The searches of all dataset selections of a basket. $1 basket id.
select dataset_selection_id, request, dated.products_count, dated.type_totals
from dated_selection dated
join dataset_selection on dataset_selection.id = dataset_selection_id
where basket_id = $1
order by dataset_selection_id, selection_date, position

-- name: put_dataset_selections
-- Insert or update dataset selections. $1 records.
insert into dataset_selection (id, basket_id, dataset_urn, dataset_label, products_count, files_count,
    files_bytes, type_totals, file_kinds, file_name_pattern, process_id, process_parameters)
select * from jsonb_to_recordset($1::jsonb) as record (
    id bigint, basket_id bigint, dataset_urn text, dataset_label text, products_count bigint,
    files_count bigint, files_bytes bigint, type_totals jsonb, file_kinds text[], file_name_pattern text,
    process_id uuid, process_parameters jsonb)
on conflict (id) do update
set products_count = excluded.products_count, files_count = excluded.files_count,
    files_bytes = excluded.files_bytes, type_totals = excluded.type_totals,
    file_kinds = excluded.file_kinds, file_name_pattern = excluded.file_name_pattern,
    process_id = excluded.process_id, process_parameters = excluded.process_parameters

-- name: remove_dataset_selections
-- $1 basket id, $2 ids.
delete from dataset_selection where basket_id = $1 and id = any ($2)

-- name: remove_dated_selections
-- Delete the searches before they are written again. $1 dataset selection ids.
delete from dated_selection where dataset_selection_id = any ($1)

-- name: put_dated_selections
-- $1 records.
insert into dated_selection (dataset_selection_id, selection_date, position, request, products_count, type_totals)
select * from jsonb_to_recordset($1::jsonb) as record (
    dataset_selection_id bigint, selection_date timestamptz, position integer, request jsonb,
    products_count bigint, type_totals jsonb)
