-- name: ready_partitions
-- Partitions that hold a due row: one index probe each. It asks for the first row and not for "exists",
-- which the planner answers with a scan of all waiting rows. $1 now.
select partition from generate_series(0, 15) as partition
where (select id from rs_order.outbox
       where outbox.partition = partition.partition and due_at is null order by id limit 1) is not null
   or (select due_at from rs_order.outbox
       where outbox.partition = partition.partition and due_at <= $1 order by due_at limit 1) is not null

-- name: take_partition
-- Lock a partition for one relay until its transaction ends. A read-only database is refused: a relay could
-- publish the rows, but not delete them. $1 partition.
select current_setting('transaction_read_only') = 'off' and pg_try_advisory_xact_lock(7226, $1)

-- name: claim
-- The oldest due rows of a partition. $1 partition, $2 now, $3 limit for each kind.
(select id, kind, tenant, stream, body, correlation_id, message_id, created_at
 from rs_order.outbox where partition = $1 and due_at is null order by id limit $3)
union all
(select id, kind, tenant, stream, body, correlation_id, message_id, created_at
 from rs_order.outbox where partition = $1 and due_at <= $2 order by due_at limit $3)

-- name: remove
-- Delete the rows that the broker confirmed. $1 ids.
delete from rs_order.outbox where id = any ($1)

-- name: seconds_to_next
-- $1 now.
select case
    when exists (
        select from generate_series(0, 15) as partition
        where (select id from rs_order.outbox
               where outbox.partition = partition.partition and due_at is null order by id limit 1) is not null
    ) then 0
    else (
        select extract(epoch from min(next.due_at) - $1) from generate_series(0, 15) as partition
        cross join lateral (
            select due_at from rs_order.outbox
            where outbox.partition = partition.partition and due_at is not null order by due_at limit 1
        ) as next
    )
end

-- name: lag
-- Due rows (counted up to 10,000 of each kind in a partition) and the age of the oldest. $1 now.
select count(since) as rows, coalesce(extract(epoch from clock_timestamp() - min(since)), 0) as oldest
from generate_series(0, 15) as partition
cross join lateral (
    (select created_at as since from rs_order.outbox
     where outbox.partition = partition.partition and due_at is null order by id limit 10000)
    union all
    (select due_at from rs_order.outbox
     where outbox.partition = partition.partition and due_at <= $1 order by due_at limit 10000)
) as due
