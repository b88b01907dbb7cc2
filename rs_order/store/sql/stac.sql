-- name: lock
-- Let no other order of the same items begin. $1 schema, $2 owner, $3 fingerprint.
select pg_advisory_xact_lock(hashtextextended(concat_ws('/', $1::text, $2::text, encode($3, 'hex')), 4))

-- name: reusable
-- The newest order of an owner that has what is wanted now. $1 owner, $2 fingerprint, $3 the earliest expiry date.
select stac_order.order_id
from stac_order
join orders on orders.id = stac_order.order_id
where stac_order.owner = $1 and stac_order.fingerprint = $2
  and (orders.status in ('PENDING', 'RUNNING', 'PAUSED', 'DONE')
       or (orders.status = 'DONE_WITH_WARNING' and available_files + downloaded_files + download_error_files > 0))
  and (orders.expires_at is null or orders.expires_at > $3)
order by stac_order.order_id desc
limit 1

-- name: record
-- $1 order, $2 owner, $3 fingerprint, $4 request, $5 unknown items.
insert into stac_order (order_id, owner, fingerprint, request, unknown_items) values ($1, $2, $3, $4, $5)

-- name: orders
-- Orders to be shown as collections. The request is only read of those that are ordered again with it (a quote has
-- expired by then), the status before of those that have expired, and a file in error of those that have failed. $1 ids.
select orders.id, orders.owner, orders.role, orders.label, orders.created_at, orders.expires_at, orders.status,
       orders.status_at, orders.available_at, orders.message, orders.files_known,
       pending_files, pending_bytes,
       available_files, available_bytes,
       downloaded_files, downloaded_bytes,
       download_error_files, download_error_bytes,
       error_files, error_bytes,
       processing_error_files, processing_error_bytes,
       (select sum(products_count)::bigint from dataset_task where dataset_task.order_id = orders.id) as products,
       case when orders.status in ('FAILED', 'ERROR', 'EXPIRED') and stac_order.request ->> 'quoteId' is null
            then stac_order.request end as request,
       (select value from setting where name = 'stac_item_ids') as item_ids,
       stac_order.unknown_items, ended.before as ended_as, zip.length as zip_length, tar.length as tar_length,
       failure.name as failed_file, failure.reason as failed_because
from orders
left join stac_order on stac_order.order_id = orders.id
left join lateral (
    select line.before from history line
    where line.order_id = orders.id and line.sub_order_id is null and line.after = 'EXPIRED'
      and orders.status = 'EXPIRED'
    order by line.id desc limit 1
) ended on true
left join lateral (
    select made.length from archive made
    where made.order_id = orders.id and made.format = 'zip' and made.state = 'OPEN'
    order by made.id desc limit 1
) zip on true
left join lateral (
    select made.length from archive made
    where made.order_id = orders.id and made.format = 'tar' and made.state = 'OPEN'
    order by made.id desc limit 1
) tar on true
left join lateral (
    select failed.name, failed.reason from data_file failed
    where failed.order_id = orders.id and failed.state in ('ERROR', 'DOWNLOAD_ERROR', 'PROCESSING_ERROR')
      and failed.reason is not null and orders.status = 'FAILED'
    order by failed.dataset_task_id, failed.id limit 1
) failure on true
where orders.id = any ($1)

-- name: of_owner
-- The next orders of an owner, newest first. $1 owner, $2 and $3 creation date and id of the last one before, $4 limit.
select orders.id, orders.created_at from orders
where orders.owner = $1 and orders.status <> 'DELETED' and (orders.created_at, orders.id) < ($2, $3)
order by orders.created_at desc, orders.id desc
limit $4

-- name: with_products
-- The next orders of an owner that have products, newest first, each with about how many. $1 owner, $2 orders (null:
-- all), $3 and $4 creation date and id of the first one, $5 limit.
select orders.id, orders.created_at,
       (select sum(products_count)::bigint from dataset_task where dataset_task.order_id = orders.id) as products
from orders
where orders.owner = $1 and orders.status not in ('DELETED', 'EXPIRED') and orders.files_known
  and pending_files + available_files + downloaded_files + download_error_files + error_files
      + processing_error_files > 0
  and ($2::bigint[] is null or orders.id = any ($2))
  and (orders.created_at, orders.id) <= ($3, $4)
order by orders.created_at desc, orders.id desc
limit $5

-- name: products
-- The next products of orders, by the hash of their URNs, each with the number of its files. $1 orders, $2 the least hash
-- of the first order, $3 limit.
select one.order_id, product.key, product.files
from unnest($1::bigint[]) with ordinality as one (order_id, number)
cross join lateral (
    select key, cardinality(files) as files
    from listed_product listed
    where listed.order_id = one.order_id
      and key >= case when one.number = 1 then $2::bigint else -9223372036854775808 end
    order by key limit $3
) product
order by one.number, product.key
limit $3

-- name: named_products
-- The same of products with these names. $3 URNs, $4 names of providers, $5 limit.
select one.order_id, product.key, product.files
from unnest($1::bigint[]) with ordinality as one (order_id, number)
cross join lateral (
    select key, cardinality(files) as files
    from listed_product listed
    where listed.order_id = one.order_id
      and key = any (array(select hashtextextended(wanted.urn, 0) from unnest($3::text[]) as wanted (urn)))
    union
    select key, cardinality(files)
    from listed_product listed
    where listed.order_id = one.order_id and product_id = any ($4)
) product
where one.number > 1 or product.key >= $2
order by one.number, product.key
limit $5

-- name: files
-- The listed files of products. $1 orders, $2 the hashes of the products.
select one.order_id, file.*
from unnest($1::bigint[], $2::bigint[]) with ordinality as one (order_id, key, number)
join listed_product listed on listed.order_id = one.order_id and listed.key = one.key
cross join lateral (
    select id, product_urn, product_version, name, url, external, size, checksum, checksum_algorithm, mime_type,
           product_id, crc32, sha256, verified_at, state, data_type
    from data_file
    where data_file.id = any (listed.files)
) file
order by one.number, file.id

-- name: item_ids
-- What the ids of items are; no row: URNs.
select value from setting where name = 'stac_item_ids'

-- name: names
-- The names of the products of the first files of an order. $1 order, $2 files.
select distinct product_urn, product_id
from (select product_urn, product_id from data_file where data_file.order_id = $1 order by id limit $2) file
order by product_urn
