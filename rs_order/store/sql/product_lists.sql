-- name: incomplete
-- Those of the orders that have files which aren't in their lists of products. $1 orders.
select one.order_id
from unnest($1::bigint[]) with ordinality as one (order_id, number)
cross join lateral (
    select id from data_file
    where data_file.order_id = one.order_id
      and id > coalesce((select last_file from product_list list where list.order_id = one.order_id), 0)
    order by id limit 1
) further
order by one.number

-- name: lock_order
-- Let nobody add files to an order: who does has locked it. $1 order.
select id from orders where id = $1 for share

-- name: begin
-- $1 order.
insert into product_list (order_id) values ($1) on conflict do nothing

-- name: lock
-- $1 order.
select last_file from product_list where order_id = $1 for update

-- name: add_slice
-- Add the products of the next files of an order to its list. Returns the number of these files. $1 order, $2 the last
-- file before, $3 files, $4 the most files of a product that are listed.
with slice as materialized (
    select id, product_urn, product_id from data_file
    where data_file.order_id = $1 and data_file.id > $2 order by id limit $3
), added as (
    insert into listed_product (order_id, key, product_urn, product_id, files)
    select $1, hashtextextended(product_urn, 0), product_urn, max(product_id), (array_agg(id order by id))[:$4::int]
    from slice group by product_urn
    on conflict (order_id, key, product_urn) do update
    set files = (listed_product.files || excluded.files)[:$4::int]
), moved as (
    update product_list set last_file = (select max(id) from slice)
    where order_id = $1 and exists (select from slice)
)
select count(*) from slice

-- name: delete_slice
-- See files.delete_slice for the form. $1 order, $2 limit.
delete from listed_product
where order_id = $1 and (key, product_urn) in (
    select key, product_urn from listed_product where order_id = $1 order by key, product_urn limit $2
)
