-- name: create
-- An archive of an order, unless it was deleted or has expired. Who ends an order has locked it, so its end and this wait
-- for each other. $1 order, $2 format, $3 now, $4 length, $5 offset of the directory, $6 entries, $7 files, $8 bytes,
-- $9 content, $10 tag, $11 files that failed before, $12 CRC-32 of the notice.
insert into archive (order_id, format, created_at, length, directory, entries, files, bytes, content, tag, missing,
                     notice_crc32, order_files)
select id, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,
       pending_files + available_files + downloaded_files + download_error_files + error_files + processing_error_files
from orders where id = $1 and status not in ('DELETED', 'EXPIRED')
for key share
returning id

-- name: begin
-- An archive that steps make, as `create`. $1 order, $2 format, $3 now, $4 the name of its selection.
insert into archive (order_id, format, created_at, state, length, directory, entries, files, bytes, content, tag,
                     order_files)
select id, $2, $3, 'SUPERSEDED', 0, 0, 0, 0, 0, '', $4,
       pending_files + available_files + downloaded_files + download_error_files + error_files + processing_error_files
from orders where id = $1 and status not in ('DELETED', 'EXPIRED')
for key share
returning id

-- name: at_work
-- The archive of a selection that steps make. $1 order, $2 format, $3 the name of the selection.
select id from archive where order_id = $1 and format = $2 and tag = $3 and length = 0

-- name: lock_at_work
-- $1 archive.
select archive.*, notice.pages as notice_pages, notice.bytes as notice_bytes
from archive
join orders on orders.id = archive.order_id and orders.status not in ('DELETED', 'EXPIRED')
cross join lateral (
    select count(*) as pages, coalesce(sum(octet_length(lines)), 0)::bigint as bytes
    from archive_notice where archive_id = archive.id
) notice
where archive.id = $1 and archive.length = 0
for update of archive

-- name: last_page
-- $1 archive.
select * from archive_page where archive_id = $1 order by number desc limit 1

-- name: grow
-- $1 archive, $2 offset of the directory, $3 entries, $4 files, $5 bytes, $6 content, $7 files that failed before,
-- $8 CRC-32 of the notice.
update archive
set directory = $2, entries = $3, files = $4, bytes = $5, content = $6, missing = $7, notice_crc32 = $8
where id = $1

-- name: finish
-- $1 archive, $2 length, $3 tag.
update archive set state = 'OPEN', length = $2, tag = $3 where id = $1

-- name: abandon
-- $1 archive.
delete from archive where id = $1 and length = 0

-- name: has_unplaceable
-- Whether an available file has no size or no checksum. $1 order, $2 sub-orders, $3 files; if neither is given, all.
select exists (
    select from data_file
    where order_id = $1 and state = 'AVAILABLE' and (size is null or checksum is null)
          and (coalesce($2::bigint[], $3::bigint[]) is null or sub_order_id = any ($2) or id = any ($3))
) as found

-- name: add_page
-- $1 archive, $2 number, $3 offset of its first entry, $4 offset of its first record in the directory, $5 entries,
-- $6 copies.
insert into archive_page (archive_id, number, start, record_start, entries, copies)
values ($1, $2, $3, $4, $5, $6)

-- name: add_notice
-- $1 archive, $2 number, $3 lines, $4 files that failed.
insert into archive_notice (archive_id, number, lines, failed) values ($1, $2, $3, $4)

-- name: notice
-- $1 archive, $2 number.
select lines, failed from archive_notice where archive_id = $1 and number = $2

-- name: available
-- The next files to put into an archive. $1 order, $2 after this id, $3 limit, $4 sub-orders, $5 files; if neither is given,
-- all.
select id, product_urn, name, url, external, size, checksum, checksum_algorithm, mime_type, product_id, crc32,
       sha256, verified_at
from data_file
where order_id = $1 and state = 'AVAILABLE' and id > $2
      and (coalesce($4::bigint[], $5::bigint[]) is null or sub_order_id = any ($4) or id = any ($5))
order by id
limit $3

-- name: delivered
-- The next files to put into an archive that has also those delivered before. $1 order, $2 after this id, $3 limit.
select id, product_urn, name, url, external, size, checksum, checksum_algorithm, mime_type, product_id, crc32,
       sha256, verified_at
from data_file
where order_id = $1 and id > $2 and state in ('AVAILABLE', 'DOWNLOADED')
order by id
limit $3

-- name: repeated_names
-- The names that more than one of these files has. $1 order.
select name from data_file
where order_id = $1 and state in ('AVAILABLE', 'DOWNLOADED')
group by name having count(*) > 1

-- name: failed
-- The next files that failed. $1 order, $2 after this id, $3 limit, $4 sub-orders, $5 files; if neither is given, all.
select id, name, reason_code, reason
from data_file
where order_id = $1 and state in ('ERROR', 'DOWNLOAD_ERROR', 'PROCESSING_ERROR') and id > $2
      and (coalesce($4::bigint[], $5::bigint[]) is null or sub_order_id = any ($4) or id = any ($5))
order by id
limit $3

-- name: known_crcs
-- $1 archive.
select count(*) as known
from archive_page page
cross join lateral jsonb_array_elements(page.entries) as entry
join data_file file on file.id = (entry ->> 0)::bigint
left join archive_checkpoint assembled
    on assembled.archive_id = $1 and assembled.file_id = file.id and assembled.position = file.size
where page.archive_id = $1 and coalesce(file.crc32, assembled.crc32) is not null

-- name: find
-- With the owner of its order. An archive of an order that is deleted or expired isn't found. $1 archive.
select archive.*, orders.owner
from archive
join orders on orders.id = archive.order_id and orders.status not in ('DELETED', 'EXPIRED')
where archive.id = $1

-- name: with_content
-- The newest archive of an order that can be downloaded, with this content. $1 order, $2 format, $3 content.
select id from archive
where order_id = $1 and format = $2 and content = $3 and state = 'OPEN'
order by id desc limit 1

-- name: of_order
-- $1 order, $2 limit.
select archive.*, orders.owner
from archive
join orders on orders.id = archive.order_id and orders.status not in ('DELETED', 'EXPIRED')
where archive.order_id = $1
order by archive.id desc limit $2

-- name: with_tag
-- An archive of an order that can be downloaded, with one of these tags. $1 order, $2 tags.
select archive.*, orders.owner
from archive
join orders on orders.id = archive.order_id and orders.status not in ('DELETED', 'EXPIRED')
where archive.order_id = $1 and archive.tag = any ($2) and archive.state = 'OPEN'
order by archive.id desc limit 1

-- name: give
-- Remember which archive a caller was given, unless it was deleted meanwhile. $1 order, $2 caller, $3 archive.
insert into archive_given as given (order_id, email, archive_id)
select $1, $2, id from archive where id = $3 for key share
on conflict (order_id, email) do update set archive_id = $3, failed = false
where given.archive_id <> $3 or given.failed

-- name: given
-- The archive that a caller was last given, if it can be downloaded. $1 order, $2 caller, $3 the time before which an
-- archive that was sent isn't given again.
select archive.*, orders.owner, given.failed
from archive_given given
join archive on archive.id = given.archive_id and archive.state = 'OPEN'
     and (archive.created_at > $3 or not archive.sent @> int8range(0, archive.length))
join orders on orders.id = archive.order_id and orders.status not in ('DELETED', 'EXPIRED')
where given.order_id = $1 and given.email = $2

-- name: note_failed
-- $1 order, $2 caller, $3 archive, $4 whether storage didn't deliver a file of it.
update archive_given set failed = $4 where order_id = $1 and email = $2 and archive_id = $3

-- name: page_at
-- The page that the byte is in, if it isn't in the directory. $1 archive, $2 byte.
select * from archive_page where archive_id = $1 and start <= $2 order by start desc limit 1

-- name: page_of_record
-- The page whose records the byte of the directory is in. $1 archive, $2 byte, from the beginning of the directory.
select * from archive_page where archive_id = $1 and record_start <= $2 order by record_start desc limit 1

-- name: page
-- $1 archive, $2 number.
select * from archive_page where archive_id = $1 and number = $2

-- name: files
-- The files with their CRC, if it is known, and that of what the archive sent of them in parts. $1 order, $2 files, $3 archive.
select id, product_urn, name, url, external, size, checksum, checksum_algorithm, mime_type, product_id, file.crc32,
       sha256, verified_at, state, assembled.crc32 as assembled_crc32
from data_file file
left join archive_checkpoint assembled
    on assembled.archive_id = $3 and assembled.file_id = file.id and assembled.position = file.size
where order_id = $1 and id = any ($2)

-- name: add_sent
-- Add a part to what was sent. True once all of it was. $1 archive, $2 first byte, $3 the byte after the last.
update archive
set sent = sent + int8multirange(int8range($2, $3))
where id = $1
returning sent @> int8range(0, length)

-- name: keep_hashes
-- Keep the hashes of what was delivered. $1 files, $2 CRCs, $3 SHA-256, $4 whether it had the checksum of the catalog,
-- $5 now.
update data_file file
set crc32 = delivered.crc32, sha256 = delivered.sha256,
    verified_at = case when delivered.verified then $5 else file.verified_at end
from unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::boolean[]) as delivered (id, crc32, sha256, verified)
where file.id = delivered.id

-- name: checkpoint
-- The last checkpoint at or before a byte of a file. $1 archive, $2 file, $3 byte.
select position, crc32 from archive_checkpoint
where archive_id = $1 and file_id = $2 and position <= $3
order by position desc limit 1

-- name: keep_checkpoints
-- Nothing is kept for an archive that was deleted meanwhile. Places are sorted, so that two requests don't wait for each
-- other. $1 archive, $2 files, $3 positions, $4 CRC-32 of what is before them.
insert into archive_checkpoint (archive_id, file_id, position, crc32)
select kept.id, passed.file_id, passed.position, passed.crc32
from (select id from archive where id = $1 for key share) kept
cross join unnest($2::bigint[], $3::bigint[], $4::bigint[]) as passed (file_id, position, crc32)
order by passed.file_id, passed.position
on conflict (archive_id, file_id, position) do update set crc32 = excluded.crc32

-- name: forget_checkpoints
-- $1 archive, $2 file.
delete from archive_checkpoint where archive_id = $1 and file_id = $2

-- name: count_short_read
-- $1 archive, $2 file.
update archive
set short_reads = case when short_file = $2 then short_reads + 1 else 1 end, short_file = $2
where id = $1
returning short_reads

-- name: supersede
-- $1 archive.
update archive set state = 'SUPERSEDED' where id = $1

-- name: set_successor
-- $1 archive, $2 the one that was made instead.
update archive set successor = $2 where id = $1

-- name: delete_slice
-- $1 order, $2 limit.
delete from archive where id = any (array(select id from archive where order_id = $1 order by id limit $2))

-- name: begin_reading
-- The number of the first slice, unless steps read the archive already, or it is being sent. $1 archive, $2 now, $3 the time
-- since which a chain of steps that doesn't go on is lost, $4 bytes that were sent of it before.
update archive set read_slices = read_slices + 1, read_at = $2
where id = $1 and state = 'OPEN' and (read_at is null or read_at < $3)
      and (select coalesce(sum(upper(part) - lower(part)), 0) from unnest(sent) part) = $4
returning read_slices

-- name: keep_reading
-- True if the slice is the current one. $1 archive, $2 number of the slice, $3 now.
update archive set read_at = $3
from orders
where archive.id = $1 and archive.read_slices = $2 and archive.read_at is not null and archive.state = 'OPEN'
      and orders.id = archive.order_id and orders.status not in ('DELETED', 'EXPIRED')
returning true

-- name: follow_reading
-- The number of the slice after the current one. $1 archive, $2 number of the slice, $3 now.
update archive set read_slices = read_slices + 1, read_at = $3
where id = $1 and read_slices = $2 and read_at is not null
returning read_slices

-- name: end_reading
-- $1 archive, $2 number of the slice.
update archive set read_at = null where id = $1 and read_slices = $2
