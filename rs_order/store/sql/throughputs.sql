-- name: add
-- Add to the figures of hours, and delete those that are too old. $1 hours, $2 restored files, $3 their bytes, $4 delivered
-- files, $5 their bytes, $6 oldest hour that is kept.
with old as (
    delete from hourly_throughput where hour < $6
)
insert into hourly_throughput (hour, restored_files, restored_bytes, delivered_files, delivered_bytes)
select * from unnest($1::timestamptz[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
on conflict (hour) do update set
    restored_files = hourly_throughput.restored_files + excluded.restored_files,
    restored_bytes = hourly_throughput.restored_bytes + excluded.restored_bytes,
    delivered_files = hourly_throughput.delivered_files + excluded.delivered_files,
    delivered_bytes = hourly_throughput.delivered_bytes + excluded.delivered_bytes

-- name: since
-- The figures of the hours from $1 on.
select hour, restored_files, restored_bytes, delivered_files, delivered_bytes
from hourly_throughput where hour >= $1 order by hour
