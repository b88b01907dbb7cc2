-- name: lock
-- Only one transaction at a time acquires or releases capacity while the service has a limit.
select pg_advisory_xact_lock(7226, 100)

-- name: used
-- Sub-orders of inactive tenants don't count towards the limit: nothing will settle them, so other tenants
-- may use their capacity.
select count(*)
from rs_order.running_sub_order running
join rs_order.tenant on tenant.name = running.tenant and tenant.active

-- name: claims
-- The capacity in use (null: nothing is counted yet), the number of other owners to whom capacity is promised, whether
-- some is promised to this one, and whether others wait who could be woken. Those of inactive tenants don't count.
-- $1 tenant, $2 owner.
select service.sub_orders - coalesce(inactive.sub_orders, 0) as used,
    service.promised - coalesce(inactive.promised, 0) - (own.owner is not null)::integer as promised,
    own.owner is not null as woken,
    coalesce((
        -- In the order of turns, so that the index is walked up to the first who waits.
        select true from rs_order.capacity_claim claim
        join rs_order.tenant on tenant.name = claim.tenant and tenant.active
        cross join lateral (
            select from rs_order.waiting_user waiting
            where waiting.tenant = claim.tenant and waiting.woken_at is null
              and (waiting.tenant, waiting.owner) <> ($1, $2) and not exists (
                  select from rs_order.hold
                  where hold.tenant = waiting.tenant and order_id is null
                    and (hold.owner is null or hold.owner = waiting.owner))
            limit 1
        ) as first
        where claim.owner = '' and claim.tenant <> '' and claim.waiting > 0
        order by claim.promised, claim.level, claim.sub_orders, claim.rank
        limit 1
    ), false) as others_wait
from (select) as one
left join rs_order.capacity_claim service on service.tenant = '' and service.owner = ''
left join (
    select sum(claim.sub_orders) as sub_orders, sum(claim.promised) as promised
    from rs_order.tenant
    join rs_order.capacity_claim claim on claim.tenant = tenant.name and claim.owner = ''
    where not tenant.active
) as inactive on true
left join (
    select waiting.owner from rs_order.waiting_user waiting
    join rs_order.tenant on tenant.name = waiting.tenant and tenant.active
    where waiting.tenant = $1 and waiting.owner = $2 and waiting.woken_at is not null
) as own on true

-- name: count
-- Count all claims. From then on triggers keep them.
select rs_order.count_claims()

-- name: stop_to_count
-- Nothing is limited any more.
select rs_order.stop_to_count()

-- name: keep_half_life
-- Compare recent uses by this half-life. $1 half-life.
update rs_order.share set half_life = $1 where half_life <> $1

-- name: acquire
-- $1 tenant, $2 owner, $3 sub-orders, $4 their files, $5 their bytes.
insert into rs_order.running_sub_order (tenant, owner, sub_order_id, files, bytes)
select $1, $2, * from unnest($3::bigint[], $4::bigint[], $5::bigint[])
on conflict do nothing

-- name: charge
-- Add bytes to the recent use of a tenant and of an owner. $1 tenant, $2 owner, $3 bytes, $4 now, $5 half-life.
insert into rs_order.share (tenant, owner, used_bytes, used_at, half_life)
values ($1, '', $3, $4, $5), ($1, $2, $3, $4, $5)
on conflict (tenant, owner) do update
set used_bytes = rs_order.decayed(share.used_bytes, share.used_at, excluded.used_at, $5) + excluded.used_bytes,
    used_at = greatest(share.used_at, excluded.used_at), half_life = excluded.half_life

-- name: release
-- $1 tenant, $2 sub-orders.
delete from rs_order.running_sub_order where tenant = $1 and sub_order_id = any ($2)

-- name: wait
-- $1 tenant, $2 owner, $3 rank of the next sub-order, $4 role of the owner.
insert into rs_order.waiting_user (tenant, owner, rank, role) values ($1, $2, $3, $4)
on conflict (tenant, owner) do update set rank = excluded.rank, role = excluded.role, woken_at = null

-- name: leave
-- $1 tenant, $2 owner.
delete from rs_order.waiting_user where tenant = $1 and owner = $2

-- name: next_waiters
-- The owners who start next, the first one first: of the tenant, and within it of the owner, whose recent use divided
-- by their weight is smallest; among equals, that with the fewest running sub-orders, then the lowest rank. If capacity
-- is free for several, tenants take turns. Held owners are left out. Tenants and owners are read in the order of their
-- indexes, as far as they are needed. $1 limit.
with next_tenant as materialized (
    select claim.tenant, claim.promised, claim.level, claim.sub_orders, claim.rank
    from rs_order.capacity_claim claim
    join rs_order.tenant on tenant.name = claim.tenant and tenant.active
    cross join lateral (
        select from rs_order.waiting_user waiting
        where waiting.tenant = claim.tenant and waiting.woken_at is null
          and not exists (
              select from rs_order.hold
              where hold.tenant = waiting.tenant and order_id is null
                and (hold.owner is null or hold.owner = waiting.owner))
        limit 1
    ) as first
    where claim.owner = '' and claim.tenant <> '' and claim.waiting > 0
    order by claim.promised, claim.level, claim.sub_orders, claim.rank
    limit $1
)
select next_tenant.tenant, next_owner.owner, next_owner.rank
from next_tenant
cross join lateral (
    select waiting.owner, waiting.rank,
        row_number() over (order by waiting.level, waiting.running, waiting.rank) as number
    from rs_order.waiting_user waiting
    where waiting.tenant = next_tenant.tenant and waiting.woken_at is null
      and not exists (
          select from rs_order.hold
          where hold.tenant = waiting.tenant and order_id is null
            and (hold.owner is null or hold.owner = waiting.owner))
    order by waiting.level, waiting.running, waiting.rank
    limit $1
) as next_owner
order by next_tenant.promised + next_owner.number, next_tenant.level, next_tenant.sub_orders, next_tenant.rank
limit $1

-- name: wake
-- $1 tenants, $2 owners.
update rs_order.waiting_user waiting set woken_at = clock_timestamp()
from unnest($1::text[], $2::text[]) as next (tenant, owner)
where waiting.tenant = next.tenant and waiting.owner = next.owner

-- name: woken
-- Owners of a tenant to whom capacity is promised. $1 tenant.
select owner from rs_order.waiting_user where tenant = $1 and woken_at is not null order by owner
