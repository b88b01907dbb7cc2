-- name: facts
-- What the reasons of orders follow from (domain/reasons.py): a row for each group of sub-orders at work that wait for the
-- same, or one row without. The rows of an order follow each other. The slots of an owner are read once, and only if
-- something of the order may need one. $1 ids, $2 tenant, $3 whether owners have a limit of slots, $4 silent: storage was
-- asked first at or before this instant, $5 now. Of the requests of a group, those that were expected to take longest are
-- enough: they decide when the order is expected.
select orders.id, orders.owner, orders.status, orders.status_at, orders.created_at, orders.available_at,
       orders.files_known,
       pending_files, pending_bytes,
       available_files, available_bytes,
       downloaded_files, downloaded_bytes,
       download_error_files, download_error_bytes,
       error_files, error_bytes,
       processing_error_files, processing_error_bytes,
       case when served.maintenance then coalesce(served.maintenance_at, served.created_at)
            when not served.active then coalesce(served.event_at, served.created_at)
       end as maintenance_since,
       completion.order_id is not null as completing, completion.products, completion.unavailable_since,
       retry.order_id is not null as retrying,
       last.reason as last_reason, last.actor as last_actor, last.at as last_at,
       held.since as held_since,
       slots.taken as slots_taken, slots.waiting as slots_waiting, slots.full_since as slots_full_since,
       exists (select from rs_order.waiting_user waiting
               where waiting.tenant = $2 and waiting.owner = orders.owner) as service_is_full,
       exists (select from rs_order.storage_limit where tenant = $2 and kind = 'user') and coalesce((
           select rs_order.user_is_full($2, orders.owner, next.pending_files, next.pending_bytes)
           from sub_order next
           where next.owner = orders.owner and next.asks_storage and next.state = 'READY'
             and orders.status = 'RUNNING'
           order by next.rank limit 1), false) as user_is_full,
       exists (select from sub_order
               where sub_order.owner = orders.owner and not asks_storage and state = 'READY'
                 and sub_order.order_id = orders.id) as ready_without_slot,
       turn.others_first,
       at_work.*
from orders
join rs_order.tenant served on served.name = $2
left join completion on completion.order_id = orders.id
left join retry on retry.order_id = orders.id
left join lateral (
    select reason, actor, at from history line
    where line.order_id = orders.id and line.sub_order_id is null
      and (orders.status in ('PAUSED', 'FAILED') or retry.order_id is not null)
    order by line.id desc limit 1
) last on true
left join lateral (
    select min(created_at) as since from rs_order.hold
    where hold.tenant = $2 and orders.status = 'RUNNING'
      and (hold.order_id = orders.id
           or (hold.order_id is null and (hold.owner is null or hold.owner = orders.owner)))
) held on true
left join lateral (
    select count(*) as taken, count(*) filter (where state = 'WAITING') as waiting, max(asked_at) as full_since
    from sub_order
    where $3 and orders.status = 'RUNNING' and sub_order.owner = orders.owner and kind <> 'EXTERNAL'
      and (state = 'RUNNING' or (state = 'WAITING' and not quota_exceeded))
) slots on true
left join lateral (
    -- In the order of next_waiters (capacity.sql): of a tenant, then of an owner in it.
    select case
        when exists (
            select from rs_order.waiting_user other
            where other.tenant = own.tenant and other.woken_at is null
              and (other.level, other.running, other.rank) < (own.level, own.running, own.rank)
              and not exists (
                  select from rs_order.hold where hold.tenant = other.tenant and hold.owner = other.owner)) then 'tenant'
        when exists (
            select from rs_order.capacity_claim mine
            join rs_order.capacity_claim other on other.owner = '' and other.tenant <> '' and other.waiting > 0
                and not other.blocked
                and (other.promised, other.level, other.sub_orders, other.rank)
                    < (mine.promised, mine.level, mine.sub_orders, mine.rank)
            join rs_order.tenant on tenant.name = other.tenant and tenant.active
            where mine.tenant = own.tenant and mine.owner = '') then 'service'
        end as others_first
    from rs_order.waiting_user own
    where own.tenant = $2 and own.owner = orders.owner and own.woken_at is null and orders.status = 'RUNNING'
) turn on true
left join lateral (
    select sub_order.state as group_state, batch.unavailable_since is not null as unreachable, quota_exceeded as quota,
           asks >= 2 and asked_at <= $4 and kind = 'STORAGE' and available_files + downloaded_files
               + download_error_files + error_files + processing_error_files = 0 as silent,
           sub_order.state = 'RUNNING' and kind = 'STORAGE'
               and coalesce(asked_at + expected_latest * interval '1 second' < $5, false) as late,
           count(*) as group_sub_orders, sum(pending_files)::bigint as group_files,
           sum(pending_bytes)::bigint as group_bytes, min(asked_at) as asked_at, max(asks) as asks,
           min(due_at) as due_at, min(sub_order.id) as first, min(batch.unavailable_since) as batch_unavailable_since,
           max(joined_files) > 0 as joined,
           min(asked_at + expected_latest * interval '1 second') as expected_until,
           bool_or(kind = 'PROCESSING') as processed,
           (array_agg(asked_at order by asked_at + guess * interval '1 second' desc nulls first, sub_order.id))[:8]
               as requests_at,
           (array_agg(guess order by asked_at + guess * interval '1 second' desc nulls first, sub_order.id))[:8]
               as guesses
    from sub_order
    left join process_batch batch on batch.sub_order_id = sub_order.id and sub_order.state = 'PROCESSING'
    where sub_order.order_id = orders.id and sub_order.state in ('RUNNING', 'PROCESSING', 'WAITING')
      and (orders.status = 'RUNNING' or orders.available_at is not null)
    group by 1, 2, 3, 4, 5
) at_work on true
where orders.id = any ($1)
order by orders.id

-- name: states
-- The sub-orders of an order by state, and since when the first of them is ready: its rank without the delay that its
-- bytes cause (domain/sub_order.py). $1 order.
select state, count(*) as sub_orders, max(asks) as asks, min(asked_at) as asked_at,
       min(rank - interval '15 minutes' * least(192, (
           pending_bytes + available_bytes + downloaded_bytes + download_error_bytes + error_bytes
           + processing_error_bytes) / 1048576.0)) filter (where state = 'READY') as ready_since,
       min(rank) filter (where state = 'READY') as first_rank,
       max(rank) filter (where state = 'READY') as last_rank,
       bool_or(kind = 'PROCESSING') as processed
from sub_order where order_id = $1
group by state

-- name: entered
-- When sub-orders took their state last. $1 order, $2 sub-orders.
select sub_order_id, max(at) as at from history
where order_id = $1 and sub_order_id = any ($2)
group by sub_order_id

-- name: ahead
-- What is before an order: the sub-orders of its owner that storage is asked for, or that are before its first sub-order
-- in the queue; the bytes in the queue up to its last one; and how many users start before the owner, with one
-- sub-order each, its files and bytes: those of the tenant, and one of each tenant before. $1 owner, $2 first rank of the order, $3 its last
-- rank, $4 tenant, $5 now.
select before.*, turn.users, turn.files as turn_files, turn.bytes as turn_bytes, own_share.*
from (
    select count(*) filter (where before) as sub_orders,
           coalesce(sum(pending_files) filter (where before), 0) as files,
           coalesce(sum(pending_bytes) filter (where before), 0) as bytes,
           coalesce(sum(pending_bytes) filter (where queued), 0)::bigint as queued_bytes
    from (
        select pending_files, pending_bytes, rank < $2 as before, true as queued from sub_order
        where owner = $1 and state = 'READY' and asks_storage and rank <= $3
        union all
        select pending_files, pending_bytes, true, false from sub_order
        where owner = $1 and kind <> 'EXTERNAL' and state = 'RUNNING'
    ) as found
) as before
left join lateral (
    select before.users, before.files, before.bytes, own.role
    from rs_order.waiting_user own
    cross join lateral (
        select count(*) as users, coalesce(sum(files), 0)::bigint as files, coalesce(sum(bytes), 0)::bigint as bytes
        from (
            select other.files, other.bytes from rs_order.waiting_user other
            where other.tenant = own.tenant and other.woken_at is null
              and (other.level, other.running, other.rank) < (own.level, own.running, own.rank)
              and not exists (
                  select from rs_order.hold where hold.tenant = other.tenant and hold.owner = other.owner)
            union all
            select first.files, first.bytes
            from rs_order.capacity_claim mine
            join rs_order.capacity_claim other on other.owner = '' and other.tenant <> '' and other.waiting > 0
                and not other.blocked
                and (other.promised, other.level, other.sub_orders, other.rank)
                    < (mine.promised, mine.level, mine.sub_orders, mine.rank)
            join rs_order.tenant on tenant.name = other.tenant and tenant.active
            left join lateral (
                select waiting.files, waiting.bytes from rs_order.waiting_user waiting
                where waiting.tenant = other.tenant and waiting.woken_at is null
                order by waiting.level, waiting.running, waiting.rank limit 1
            ) first on true
            where mine.tenant = own.tenant and mine.owner = ''
        ) one
    ) before
    where own.tenant = $4 and own.owner = $1 and own.woken_at is null
) turn on true
left join lateral (
    select coalesce(share.weight, role.weight, 1) as weight,
           coalesce(rs_order.decayed(share.used_bytes, share.used_at, $5, share.half_life), 0) as used_bytes
    from (select) as one
    left join rs_order.share on share.tenant = $4 and share.owner = $1
    left join rs_order.role_weight role on role.tenant = $4 and role.role = turn.role
) own_share on true

-- name: sub_orders
-- A page of the sub-orders of an order, newest first. $1 order, $2 state (null: any), $3 before this id, $4 limit.
select sub_order.id, state, kind, rank, asks, asked_at, due_at, quota_exceeded, asks_storage, joined_files,
       pending_files, pending_bytes,
       available_files, available_bytes,
       downloaded_files, downloaded_bytes,
       download_error_files, download_error_bytes,
       error_files, error_bytes,
       processing_error_files, processing_error_bytes,
       batch.unavailable_since, guess, asked_at + expected_latest * interval '1 second' as expected_until
from sub_order
left join process_batch batch on batch.sub_order_id = sub_order.id
where sub_order.order_id = $1 and ($2::text is null or state = $2)
  and sub_order.id < coalesce($3::bigint, 9223372036854775807)
order by sub_order.id desc
limit $4
