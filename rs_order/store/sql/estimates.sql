-- name: samples
-- The last samples. $1 limit.
select storage, asked_at, settled_at, files, bytes, guess, expected_earliest, expected_latest
from restore_sample
order by settled_at desc, id desc
limit $1

-- name: awaited
-- What storage was asked for and has not settled, inputs of processes apart: bytes, each file once, sub-orders with an
-- upper end, and those past it. $1 now.
select coalesce(sum(greatest(pending_bytes - joined_bytes, 0)), 0)::bigint as bytes,
       count(expected_latest) as with_range,
       count(*) filter (where asked_at + expected_latest * interval '1 second' < $1) as late
from sub_order
where state = 'RUNNING' and kind = 'STORAGE'

-- name: purge
-- Delete the oldest samples beyond those that are kept. $1 kept, $2 limit.
delete from restore_sample
where id = any (array(
    select id from restore_sample order by settled_at desc, id desc offset $1 limit $2
))
