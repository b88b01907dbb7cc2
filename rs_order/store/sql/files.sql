-- name: settle_by_checksum
-- Apply storage events to files that storage was asked for. "Unavailable" wins. The orders are locked.
-- $1 orders, $2 available checksums, $3 unavailable checksums, $4 their reasons, $5 and $6 unavailable checksums and
-- the sub-orders that they concern; those that aren't in $5 concern all.
with concerned as (
    select checksum, array_agg(sub_order_id) as sub_orders
    from unnest($5::text[], $6::bigint[]) as given (checksum, sub_order_id) group by checksum
), event as (
    select checksum, is_available, is_unavailable, reason, sub_orders
    from (select checksum, true from unnest($2::text[]) as given (checksum)) as available (checksum, is_available)
    full join (select checksum, true, reason from unnest($3::text[], $4::text[]) as given (checksum, reason))
        as unavailable (checksum, is_unavailable, reason) using (checksum)
    left join concerned using (checksum)
), target as (
    select file.id, file.state as before, event.reason,
        case when is_unavailable and (sub_orders is null or file.sub_order_id = any (sub_orders)) then 'ERROR'
             when is_available then 'AVAILABLE'
             else file.state end as after
    from data_file file
    join event on event.checksum = file.checksum
    join sub_order on sub_order.id = file.sub_order_id
    where file.order_id = any ($1)
      and (file.state in ('PENDING', 'AVAILABLE') or file.reason_code = 'storage-silent')
      and (
          (file.state in ('PENDING', 'AVAILABLE')
           and (sub_order.state = 'RUNNING' or (sub_order.state = 'READY' and sub_order.asks > 0)))
          or (file.state = 'ERROR' and file.reason_code = 'storage-silent')
      )
    order by file.id
    for update of file
), moved as (
    update data_file file
    set state = target.after, reason = case when target.after = 'ERROR' then target.reason end,
        reason_code = case when target.after = 'ERROR' then 'storage-refused' end
    from target
    where file.id = target.id and target.before <> target.after
    returning file.order_id, file.sub_order_id, target.before, target.after, coalesce(file.size, 0) as size
)
select order_id, sub_order_id, before, after, count(*) as files, sum(size)::bigint as bytes
from moved group by order_id, sub_order_id, before, after

-- name: give_up
-- Give up files that storage sent no event for. A late event still counts. $1 sub-order, $2 reason.
with moved as (
    update data_file set state = 'ERROR', reason_code = 'storage-silent', reason = $2
    where sub_order_id = $1 and state = 'PENDING'
    returning order_id, sub_order_id, coalesce(size, 0) as size
)
select order_id, sub_order_id, 'PENDING' as before, 'ERROR' as after, count(*) as files,
       sum(size)::bigint as bytes
from moved group by order_id, sub_order_id

-- name: record_downloads
-- Record how downloads ended. Files that can't be downloaded any more don't change. The order is locked.
-- The order's history gets a line for wrong content, once until a download has another result, and for a
-- downloaded file whose checksum can't be checked.
-- $1 order, $2 failed files or downloaded ones, $3 whether the content was wrong, $4 reasons, null for
-- what was downloaded, $5 whether it can't be verified, $6 actor, $7 now, $8 and $9 CRC-32 and SHA-256 of what was
-- downloaded, null if unknown. Hashes of bytes that had the checksum of the catalog are proof of them.
with outcome as (
    select * from unnest($2::bigint[], $3::boolean[], $4::text[], $5::boolean[], $8::bigint[], $9::bytea[])
        as given (id, wrong, reason, unverifiable, crc32, sha256)
), target as (
    select file.id, file.state as before, file.reason_code as reason_before, outcome.reason,
           outcome.unverifiable, outcome.crc32, outcome.sha256,
           case when outcome.reason is null then 'DOWNLOADED' else 'DOWNLOAD_ERROR' end as after,
           case when outcome.reason is null then null
                when outcome.wrong then 'wrong-content' else 'download-failed' end as reason_code
    from data_file file
    join outcome on outcome.id = file.id
    where file.order_id = $1 and file.state in ('AVAILABLE', 'DOWNLOADED', 'DOWNLOAD_ERROR')
    order by file.id
    for update of file
), moved as (
    update data_file file
    set state = target.after, reason = target.reason, reason_code = target.reason_code,
        crc32 = coalesce(target.crc32, file.crc32), sha256 = coalesce(target.sha256, file.sha256),
        verified_at = case when target.crc32 is not null and file.checksum is not null and not target.unverifiable
                           then $7 else file.verified_at end,
        sent = case when target.reason_code = 'download-failed' then file.sent end
    from target
    where file.id = target.id
    returning file.id, file.order_id, file.sub_order_id, target.before, target.after, target.reason_code,
              target.reason_before, target.unverifiable, coalesce(file.size, 0) as size
), noted as (
    insert into history (order_id, sub_order_id, data_file_id, before, after, reason, actor, at)
    select order_id, sub_order_id, id, before, after, coalesce(reason_code, 'unverifiable'), $6, $7
    from moved
    where reason_code = 'wrong-content' and reason_before is distinct from 'wrong-content'
        or unverifiable and before <> 'DOWNLOADED'
    order by id
)
select order_id, sub_order_id, before, after, count(*) as files, sum(size)::bigint as bytes
from moved where before <> after group by order_id, sub_order_id, before, after

-- name: note_quota
-- Record that a quota prevented downloads. The files stay available. $1 order, $2 files, $3 reasons.
update data_file file
set reason_code = 'quota-exceeded', reason = outcome.reason
from unnest($2::bigint[], $3::text[]) as outcome (id, reason)
where file.id = outcome.id and file.order_id = $1 and file.state = 'AVAILABLE'
returning file.sub_order_id

-- name: delete_slice
-- The ids are an array, because the planner would read the whole table for a join of this size. They are
-- sorted by the only index that starts with the order, because the planner would otherwise search the files of
-- all orders. $1 order, $2 limit.
delete from data_file
where id = any (array(
    select id from data_file
    where (order_id, id) > ($1, 0) and order_id <= $1
    order by order_id, id limit $2
))

-- name: order_to_download
-- $1 order.
select id, owner, role, status, expires_at,
       pending_files + available_files + downloaded_files + download_error_files + error_files
           + processing_error_files > 0 and orders.files_known as has_files,
       available_files > 0 and status not in ('DELETED', 'EXPIRED') and orders.files_known
           as has_available_files
from orders where id = $1

-- name: file_to_download
-- A file counts as pending until all files of its order are known. $1 file.
select file.id, product_urn, name, url, external, size, checksum, checksum_algorithm, mime_type, product_id,
       crc32, sha256, verified_at,
       case when orders.files_known then file.state else 'PENDING' end as state, file.order_id, orders.owner
from data_file file
join orders on orders.id = file.order_id and orders.status not in ('DELETED', 'EXPIRED')
where file.id = $1 and orders.sub_orders > 0  -- 0: its completion failed, and the file is to be deleted

-- name: add_sent
-- Add a part to what was sent of a file. True once all of it was. $1 file, $2 first byte, $3 the byte after the last.
update data_file
set sent = coalesce(sent, '{}') + int8multirange(int8range($2, $3))
where id = $1
returning sent @> int8range(0, size)

-- name: repeated_names
-- $1 order.
select name from data_file
where order_id = $1 and state = 'AVAILABLE'
group by name having count(*) > 1

-- name: available_files
-- The next files to download. $1 order, $2 after this id, $3 limit.
select id, product_urn, name, url, external, size, checksum, checksum_algorithm, mime_type, product_id,
       crc32, sha256, verified_at
from data_file
where order_id = $1 and state = 'AVAILABLE' and id > $2
order by id
limit $3

-- name: files_of_order
-- The next files, whatever their state. $1 order, $2 after this id, $3 limit.
select id, product_urn, name, url, external, size, checksum, checksum_algorithm, mime_type, product_id,
       crc32, sha256, verified_at, state, reason_code, reason
from data_file
where order_id = $1 and id > $2
order by id
limit $3
