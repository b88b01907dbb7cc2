-- name: check
-- For each partition with rows, the seconds until the first of them is due (0: now). It asks for the first row of
-- each kind and not for "exists", which the planner answers with a scan of all waiting rows. The rows of a partition
-- are taken "between" it and itself: if it were constant, the planner might look for it in the order of the ids of all.
-- $1 now.
select partition,
       case when now_row.id is not null then 0
       else greatest(0, extract(epoch from least(due.due_at, retry.retry_at) - $1))::float8 end as seconds
from generate_series(0, 31) as partition
left join lateral (
    select id from rs_order.outbox
    where outbox.partition between partition.partition and partition.partition
      and due_at is null and retry_at is null
    order by outbox.partition, id limit 1
) as now_row on true
left join lateral (
    select due_at from rs_order.outbox
    where outbox.partition = partition.partition and due_at is not null and retry_at is null
    order by due_at limit 1
) as due on true
left join lateral (
    select retry_at from rs_order.outbox
    where outbox.partition = partition.partition and retry_at is not null
    order by retry_at limit 1
) as retry on true
where now_row.id is not null or due.due_at is not null or retry.retry_at is not null

-- name: take_partition
-- Lock a partition for one relay until its transaction ends. A read-only database is refused: a relay could
-- publish the rows, but not delete them. The result is a setting of the transaction, because this statement is
-- sent together with the begin of the transaction, without reading its result. $1 partition.
select set_config(
    'rs_order.partition',
    case when current_setting('transaction_read_only') = 'off' and pg_try_advisory_xact_lock(7226, $1)
         then '$1' else 'none' end,
    true
)

-- name: claim
-- The oldest due rows of a partition: none if it isn't locked for this relay, and one row of nulls if there are
-- none. It is a statement of its own, so that it sees what the last holder of the lock has deleted. A row that was
-- rejected holds back the rest of its stream and nothing else. The streams that are held back are the keys of an object,
-- in which each row is looked up. "not exists" would be a join: of each row with each other one, if the plan was made
-- while the table was empty. $1 partition, $2 now, $3 limit for each kind.
select due.*
from (select where current_setting('rs_order.partition', true) = $1::smallint::text) as locked
left join lateral (
    (select id, kind, tenant, stream, body, correlation_id, message_id, created_at, traceparent, attempts
     from rs_order.outbox
     where partition between $1 and $1 and due_at is null and retry_at is null
       and (stream is null or not coalesce((
           select jsonb_object_agg(rejected.stream, true) from rs_order.outbox as rejected
           where rejected.retry_at is not null and rejected.stream is not null
       ) ? stream, false))
     order by partition, id limit $3)
    union all
    (select id, kind, tenant, stream, body, correlation_id, message_id, created_at, traceparent, attempts
     from rs_order.outbox
     where partition = $1 and due_at <= $2 and retry_at is null order by due_at limit $3)
    union all
    (select id, kind, tenant, stream, body, correlation_id, message_id, created_at, traceparent, attempts
     from rs_order.outbox where partition = $1 and retry_at <= $2 order by retry_at limit $3)
) as due on true

-- name: postpone
-- Try rejected rows again later, each time twice as late, up to a limit. $1 ids, $2 now, $3 seconds of the first
-- pause, $4 of the longest.
update rs_order.outbox
set attempts = least(attempts + 1, 30),
    retry_at = $2::timestamptz + least($3::float8 * power(2, attempts), $4::float8) * interval '1 second'
where id = any ($1)

-- name: remove
-- Delete the rows that the broker confirmed. It is sent together with the commit. $1 ids.
delete from rs_order.outbox where id = any ($1)

-- name: delete_leased
-- Delete rows of steps by their message ids ($1) and due times ($2). Their partitions are as in messages.send.
delete from rs_order.outbox
using unnest($1::uuid[], $2::timestamptz[]) as leased (message_id, due_at)
where outbox.partition = abs(hashtextextended(leased.message_id::text, 0) % 16) + 16
  and outbox.due_at = leased.due_at and outbox.message_id = leased.message_id

-- name: move_leased
-- Give rows of steps another due time. $1 message ids, $2 due times, $3 the new one; null: due at once.
-- Returns their partitions.
update rs_order.outbox set due_at = $3
from unnest($1::uuid[], $2::timestamptz[]) as leased (message_id, due_at)
where outbox.partition = abs(hashtextextended(leased.message_id::text, 0) % 16) + 16
  and outbox.due_at = leased.due_at and outbox.message_id = leased.message_id
returning partition

-- name: lag
-- Due rows (counted up to 10,000 of each kind in a partition) and the age of the oldest; the same of messages that
-- the queue of a peer rejects. What follows them in their streams isn't due. $1 now.
select count(since) filter (where not rejected) as rows,
       coalesce(extract(epoch from clock_timestamp() - min(since) filter (where not rejected)), 0) as oldest,
       count(since) filter (where rejected) as rejected,
       coalesce(extract(epoch from clock_timestamp() - min(since) filter (where rejected)), 0) as oldest_rejected
from generate_series(0, 31) as partition
cross join lateral (
    (select created_at as since, false as rejected from rs_order.outbox
     where outbox.partition between partition.partition and partition.partition
       and due_at is null and retry_at is null
       and (stream is null or not coalesce((
           select jsonb_object_agg(first.stream, true) from rs_order.outbox as first
           where first.retry_at is not null and first.stream is not null
       ) ? stream, false))
     order by outbox.partition, id limit 10000)
    union all
    (select due_at, false from rs_order.outbox
     where outbox.partition = partition.partition and due_at <= $1 and retry_at is null
     order by due_at limit 10000)
    union all
    (select coalesce(due_at, created_at), partition.partition < 16 from rs_order.outbox
     where outbox.partition = partition.partition and retry_at is not null order by retry_at limit 10000)
) as due
