-- name: add
-- Index dead letters. One that is known stays as it is, unless it had left its queue and is there again.
-- $1 to $17: the columns. Returns the ids that were added.
insert into rs_order.dead_letter (
    id, identity, vhost, queue, origin, tenant, reason, detail, order_id, step, message_id, correlation_id,
    died_at, times, headers, properties, body
)
select id, identity, vhost, queue, origin, tenant, reason, detail, order_id, step, message_id, correlation_id,
       died_at, times, headers::jsonb, properties::jsonb, body
from unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[],
    $10::text[], $11::text[], $12::text[], $13::timestamptz[], $14::integer[], $15::text[], $16::text[],
    $17::bytea[]
) with ordinality as letter (
    id, identity, vhost, queue, origin, tenant, reason, detail, order_id, step, message_id, correlation_id,
    died_at, times, headers, properties, body, position
)
order by position
on conflict (id) do update set state = 'open', in_queue = true, changed_at = null
where dead_letter.state = 'gone'
returning id

-- name: closed
-- The ids among $1 of dead letters that were replayed or discarded.
select id from rs_order.dead_letter where id = any ($1) and state in ('replayed', 'discarded')

-- name: queues
-- The dead letters of a virtual host by queue and origin, and how many of them wait to be removed. $1 vhost.
select queue, origin, count(*) as letters, count(*) filter (where state <> 'open') as to_remove
from rs_order.dead_letter where vhost = $1 and in_queue group by queue, origin

-- name: in_queue
-- The dead letters of a queue. $1 vhost, $2 queue.
select id, identity, state <> 'open' as to_remove
from rs_order.dead_letter where vhost = $1 and queue = $2 and in_queue

-- name: left_queue
-- These dead letters are not in their queue any more. $1 ids, $2 now.
update rs_order.dead_letter
set in_queue = false,
    changed_at = coalesce(changed_at, $2),
    state = case state when 'open' then 'gone' else state end
where id = any ($1) and in_queue

-- name: forget_existing
-- $1 vhost, $2 the queues that are missing.
delete from rs_order.missing_queue where vhost = $1 and queue <> all ($2::text[])

-- name: remember_missing
-- $1 vhost, $2 the queues that are missing.
insert into rs_order.missing_queue (vhost, queue) select $1, unnest($2::text[])
on conflict do nothing

-- name: purge
-- Delete dead letters that left their queues before $1, at most $2.
delete from rs_order.dead_letter
where id in (
    select id from rs_order.dead_letter where not in_queue and changed_at < $1 order by changed_at limit $2
)

-- name: purge_runs
-- Delete runs that ended before $1.
delete from rs_order.dead_letter_run where ended_at < $1

-- name: page
-- Open dead letters, the oldest first. $1 to $6 filter, $7 after this number, $8 up to this number, $9 limit.
select * from rs_order.dead_letter
where state = 'open'
  and ($1::text is null or tenant = $1)
  and ($2::text is null or queue = $2 or origin = $2)
  and ($3::text is null or reason = $3)
  and ($4::bigint is null or order_id = $4)
  and ($5::text is null or step = $5)
  and ($6::timestamptz is null or died_at < $6)
  and number > $7 and number <= $8
order by number limit $9

-- name: count
-- How many open dead letters match, and the number of the last one. $1 to $6 filter.
select count(*) as letters, coalesce(max(number), 0) as last from rs_order.dead_letter
where state = 'open'
  and ($1::text is null or tenant = $1)
  and ($2::text is null or queue = $2 or origin = $2)
  and ($3::text is null or reason = $3)
  and ($4::bigint is null or order_id = $4)
  and ($5::text is null or step = $5)
  and ($6::timestamptz is null or died_at < $6)

-- name: find
-- $1 ids.
select * from rs_order.dead_letter where id = any ($1) order by number

-- name: lock
-- The same, locked in the order of lists. $1 ids.
select * from rs_order.dead_letter where id = any ($1) order by number for update

-- name: missing_queues
-- Queues that don't exist now.
select vhost, queue from rs_order.missing_queue

-- name: of_order_step
-- Open dead letters of a step of an order. $1 tenant, $2 order, $3 step, $4 limit.
select id, body from rs_order.dead_letter
where tenant = $1 and order_id = $2 and step = $3 and state = 'open' order by number limit $4

-- name: of_step
-- Open dead letters of a step that names no order. $1 tenant, $2 step, $3 limit.
select id, body from rs_order.dead_letter
where tenant = $1 and order_id is null and step = $2 and state = 'open' order by number limit $3

-- name: close
-- $1 ids, $2 state, $3 now, $4 operator, $5 reason.
update rs_order.dead_letter set state = $2, changed_at = $3, changed_by = $4, because = $5
where id = any ($1)

-- name: waiting
-- How many of these messages are still in the outbox. $1 message ids.
select count(*) from rs_order.outbox where message_id = any ($1)

-- name: start_run
-- $1 act, $2 filter, $3 rate, $4 reason, $5 operator, $6 door, $7 tenant, $8 role, $9 correlation id, $10 total,
-- $11 number of the last one.
insert into rs_order.dead_letter_run
    (act, filter, rate, because, operator, door, tenant, role, correlation_id, total, up_to)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
returning *

-- name: run
-- $1 id.
select * from rs_order.dead_letter_run where id = $1

-- name: lock_run
-- $1 id.
select * from rs_order.dead_letter_run where id = $1 for update

-- name: advance_run
-- $1 id, $2 done, $3 rejected, $4 rejections, $5 last number, $6 state, $7 end.
update rs_order.dead_letter_run
set done = done + $2, rejected = rejected + $3, rejections = $4, last_number = $5, state = $6, ended_at = $7
where id = $1
