-- name: pending
-- Checksums that storage still has to settle, of files or of inputs of a process, and whether their sub-order has
-- joined the request of another one. With locks, no other one asks for a checksum of the same groups until the
-- transaction ends: there are 64, locked in ascending order, so that a large sub-order has no more locks than that.
-- $1 sub-orders, $2 whether to lock.
with pending as materialized (
    select sub_order_id, checksum, count(*) as files, coalesce(sum(size), 0)::bigint as bytes
    from (
        select sub_order_id, checksum, size from data_file
        where sub_order_id = any ($1) and state = 'PENDING' and checksum is not null
        union all
        select sub_order_id, checksum, size from process_input where sub_order_id = any ($1) and state = 'PENDING'
    ) as file
    group by sub_order_id, checksum
), locked as materialized (
    select pg_advisory_xact_lock(hashtextextended(current_schema(), 3) # number)
    from (select distinct (hashtext(checksum) & 63)::bigint as number from pending where $2 order by number) as needed
)
select pending.sub_order_id, pending.checksum, files, bytes, joined.checksum is not null as joined,
       (select count(*) from locked) as locks
from pending
left join joined_file joined on joined.sub_order_id = pending.sub_order_id and joined.checksum = pending.checksum
order by pending.sub_order_id, pending.checksum

-- name: shared
-- The checksums that further sub-orders wait for: the longest availability that they need, and one of those that asked
-- for it, if any. If somebody has joined a recall, its row names who asked; otherwise all who wait are looked at. A
-- sub-order that was stopped has asked, too, but reminds storage of nothing.
-- $1 checksums, $2 sub-orders apart from these, $3 true: only those that remind storage now.
with recalled as materialized (
    select wanted.checksum, joined.asked_by, asker.order_id,
           coalesce(asker.asked_hours, of_order.sub_order_hours) as asked_hours
    from unnest($1::text[]) as wanted (checksum)
    cross join lateral (
        select asked_by from joined_file
        where not $3 and checksum = wanted.checksum and asked_by <> all ($2) limit 1
    ) as joined
    cross join lateral (
        select order_id, asked_hours from sub_order
        where id = joined.asked_by and state in ('READY', 'RUNNING') and asks > 0 offset 0
    ) as asker
    cross join lateral (
        select sub_order_hours from orders
        where id = asker.order_id and status not in ('DELETED', 'EXPIRED') offset 0
    ) as of_order
), other as (
    select checksum, sub_order_id from data_file
    where checksum = any (array(select unnest($1::text[]) except select checksum from recalled))
      and state = 'PENDING' and sub_order_id <> all ($2)
    union all
    select checksum, sub_order_id from process_input
    where checksum = any (array(select unnest($1::text[]) except select checksum from recalled))
      and state = 'PENDING' and sub_order_id <> all ($2)
), waiting as (
    select other.checksum, other.sub_order_id, known.order_id,
           case when of_order.status = 'RUNNING' then of_order.sub_order_hours end as needed_hours,
           coalesce(known.asked_hours, of_order.sub_order_hours) as asked_hours,
           known.asks > 0 and (not $3 or (known.state = 'RUNNING' and of_order.status = 'RUNNING'))
               and not exists (
                   select from joined_file joined
                   where joined.sub_order_id = other.sub_order_id and joined.checksum = other.checksum) as has_asked
    from other
    cross join lateral (
        select order_id, state, asks, asked_hours from sub_order
        where id = other.sub_order_id and state in ('READY', 'RUNNING') offset 0
    ) as known
    cross join lateral (
        select status, sub_order_hours from orders
        where id = known.order_id and status not in ('DELETED', 'EXPIRED') offset 0
    ) as of_order
)
select checksum, 0 as hours, asked_by, order_id, asked_hours from recalled
union all
select checksum, coalesce(max(needed_hours), 0), min(sub_order_id) filter (where has_asked),
       (array_agg(order_id order by sub_order_id) filter (where has_asked))[1],
       (array_agg(asked_hours order by sub_order_id) filter (where has_asked))[1]
from waiting
group by checksum

-- name: join
-- Sub-orders join requests. Their orders are locked. $1 sub-orders, $2 checksums, $3 the sub-orders that asked,
-- $4 whether they ask for a longer availability when the answer has come.
insert into joined_file (sub_order_id, checksum, asked_by, asks_longer)
select * from unnest($1::bigint[], $2::text[], $3::bigint[], $4::boolean[])
on conflict (sub_order_id, checksum) do update
set asked_by = excluded.asked_by, asks_longer = excluded.asks_longer
where (joined_file.asked_by, joined_file.asks_longer) <> (excluded.asked_by, excluded.asks_longer)

-- name: leave
-- A sub-order asks for these itself now, or gives them up. $1 sub-order, $2 checksums (null: all).
delete from joined_file where sub_order_id = $1 and ($2::text[] is null or checksum = any ($2))

-- name: joined
-- Which sub-orders have joined requests for these checksums. $1 checksums, $2 locked orders: others are shown only if
-- they still wait.
select joined.sub_order_id, known.order_id, joined.checksum, asked_by, asks_longer
from joined_file joined
cross join lateral (
    select order_id from sub_order where id = joined.sub_order_id and state in ('READY', 'RUNNING') offset 0
) as known
where joined.checksum = any ($1) and exists (select from orders where id = known.order_id)
  and (known.order_id = any ($2)
       or exists (select from data_file file
                  where file.checksum = joined.checksum and file.sub_order_id = joined.sub_order_id
                    and file.state = 'PENDING')
       or exists (select from process_input input
                  where input.checksum = joined.checksum and input.sub_order_id = joined.sub_order_id
                    and input.state = 'PENDING'))

-- name: forget
-- What storage has settled. $1 sub-orders, $2 their checksums.
delete from joined_file joined
using unnest($1::bigint[], $2::text[]) as settled (sub_order_id, checksum)
where joined.sub_order_id = settled.sub_order_id and joined.checksum = settled.checksum
  and not exists (select from data_file file
                  where file.checksum = joined.checksum and file.sub_order_id = joined.sub_order_id
                    and file.state = 'PENDING')
  and not exists (select from process_input input
                  where input.checksum = joined.checksum and input.sub_order_id = joined.sub_order_id
                    and input.state = 'PENDING')
