-- name: ready_slots
-- Slots that hold a due row: one index probe each. Asked for the first row instead of "exists", which
-- the planner answers with a scan of all that waits. $1 now.
select slot from generate_series(0, 15) as slot
where (select id from rs_order.outbox
       where outbox.slot = slot.slot and due_at is null order by id limit 1) is not null
   or (select due_at from rs_order.outbox
       where outbox.slot = slot.slot and due_at <= $1 order by due_at limit 1) is not null

-- name: take_slot
-- Only one relay works on a slot, until its transaction ends, and none where what it publishes couldn't be
-- removed. $1 slot.
select current_setting('transaction_read_only') = 'off' and pg_try_advisory_xact_lock(7226, $1)

-- name: claim
-- The oldest due rows of a slot. $1 slot, $2 now, $3 at most so many of each sort.
(select id, kind, tenant, stream, body, correlation_id, message_id, created_at
 from rs_order.outbox where slot = $1 and due_at is null order by id limit $3)
union all
(select id, kind, tenant, stream, body, correlation_id, message_id, created_at
 from rs_order.outbox where slot = $1 and due_at <= $2 order by due_at limit $3)

-- name: remove
-- What the broker confirmed. $1 ids.
delete from rs_order.outbox where id = any ($1)

-- name: seconds_to_next
-- $1 now.
select case
    when exists (
        select from generate_series(0, 15) as slot
        where (select id from rs_order.outbox
               where outbox.slot = slot.slot and due_at is null order by id limit 1) is not null
    ) then 0
    else (
        select extract(epoch from min(next.due_at) - $1) from generate_series(0, 15) as slot
        cross join lateral (
            select due_at from rs_order.outbox
            where outbox.slot = slot.slot and due_at is not null order by due_at limit 1
        ) as next
    )
end

-- name: lag
-- Due rows (counted up to 10,000 of each sort in a slot) and the age of the oldest. $1 now.
select count(since) as rows, coalesce(extract(epoch from clock_timestamp() - min(since)), 0) as oldest
from generate_series(0, 15) as slot
cross join lateral (
    (select created_at as since from rs_order.outbox
     where outbox.slot = slot.slot and due_at is null order by id limit 10000)
    union all
    (select due_at from rs_order.outbox
     where outbox.slot = slot.slot and due_at <= $1 order by due_at limit 10000)
) as due
