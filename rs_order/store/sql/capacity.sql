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
-- What is in use (null: nothing is counted yet) and promised to other owners, of the service, of a tenant and of an owner,
-- with the limits of the last two (null: none); whether capacity is promised to this owner, whether others wait who could
-- be woken, and whether others of a limited tenant wait. What inactive tenants claim doesn't count. $1 tenant, $2 owner.
select service.sub_orders - coalesce(inactive.sub_orders, 0) as used,
    service.promised - coalesce(inactive.promised, 0) - (own.owner is not null)::integer as promised,
    service.files + service.promised_files - coalesce(inactive.files, 0) - coalesce(own.files, 0) as files,
    service.bytes + service.promised_bytes - coalesce(inactive.bytes, 0) - coalesce(own.bytes, 0) as bytes,
    coalesce(of_tenant.sub_orders + of_tenant.promised, 0) - (own.owner is not null)::integer as tenant_sub_orders,
    coalesce(of_tenant.files + of_tenant.promised_files, 0) - coalesce(own.files, 0) as tenant_files,
    coalesce(of_tenant.bytes + of_tenant.promised_bytes, 0) - coalesce(own.bytes, 0) as tenant_bytes,
    most_of_tenant.sub_orders as most_tenant_sub_orders, most_of_tenant.files as most_tenant_files,
    most_of_tenant.bytes as most_tenant_bytes,
    coalesce(of_user.sub_orders, 0) as user_sub_orders, coalesce(of_user.files, 0) as user_files,
    coalesce(of_user.bytes, 0) as user_bytes,
    most_of_user.sub_orders as most_user_sub_orders, most_of_user.files as most_user_files,
    most_of_user.bytes as most_user_bytes,
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
        where claim.owner = '' and claim.tenant <> '' and claim.waiting > 0 and not claim.blocked
        order by claim.promised, claim.level, claim.sub_orders, claim.rank
        limit 1
    ), false) as others_wait,
    coalesce((
        select true from rs_order.waiting_user waiting
        where most_of_tenant.tenant is not null and waiting.tenant = $1 and waiting.owner <> $2
          and waiting.woken_at is null and not exists (
              select from rs_order.hold
              where hold.tenant = waiting.tenant and order_id is null
                and (hold.owner is null or hold.owner = waiting.owner))
        order by waiting.level, waiting.running, waiting.rank
        limit 1
    ), false) as tenant_waits
from (select) as one
left join rs_order.capacity_claim service on service.tenant = '' and service.owner = ''
left join rs_order.capacity_claim of_tenant on of_tenant.tenant = $1 and of_tenant.owner = ''
left join rs_order.capacity_claim of_user on of_user.tenant = $1 and of_user.owner = $2 and of_user.owner <> ''
left join rs_order.storage_limit most_of_tenant on most_of_tenant.tenant = $1 and most_of_tenant.kind = 'tenant'
left join rs_order.storage_limit most_of_user on most_of_user.tenant = $1 and most_of_user.kind = 'user'
left join (
    select sum(claim.sub_orders) as sub_orders, sum(claim.promised) as promised,
        sum(claim.files + claim.promised_files) as files, sum(claim.bytes + claim.promised_bytes) as bytes
    from rs_order.tenant
    join rs_order.capacity_claim claim on claim.tenant = tenant.name and claim.owner = ''
    where not tenant.active
) as inactive on true
left join (
    select waiting.owner, waiting.files, waiting.bytes from rs_order.waiting_user waiting
    join rs_order.tenant on tenant.name = waiting.tenant and tenant.active
    where waiting.tenant = $1 and waiting.owner = $2 and waiting.woken_at is not null
) as own on true

-- name: count
-- Count all claims. From then on triggers keep them.
select rs_order.count_claims()

-- name: is_counted
select rs_order.is_counted()

-- name: renew_blocked
-- $1 tenant.
select rs_order.renew_blocked($1)

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
-- Release capacity, under the lock of the capacity if claims are counted. Return whether they are, and whether users of
-- the tenant have limits. $1 tenant, $2 sub-orders.
with locked as materialized (
    select pg_advisory_xact_lock(7226, 100) where rs_order.is_counted()
), released as (
    delete from rs_order.running_sub_order
    where tenant = $1 and sub_order_id = any ($2) and (select count(*) from locked) >= 0
)
select rs_order.is_counted() as counted,
    exists (select from rs_order.storage_limit where tenant = $1 and kind = 'user') as users_are_limited

-- name: wait
-- $1 tenant, $2 owner, $3 rank of the next sub-order, $4 role of the owner, $5 its files, $6 its bytes.
insert into rs_order.waiting_user (tenant, owner, rank, role, files, bytes) values ($1, $2, $3, $4, $5, $6)
on conflict (tenant, owner) do update
set rank = excluded.rank, role = excluded.role, files = excluded.files, bytes = excluded.bytes, woken_at = null

-- name: leave
-- $1 tenant, $2 owner.
delete from rs_order.waiting_user where tenant = $1 and owner = $2

-- name: next_waiters
-- The owners who start next, the first one first: of the tenant, and within it of the owner, whose recent use divided
-- by their weight is smallest; among equals, that with the fewest running sub-orders, then the lowest rank. If capacity
-- is free for several, tenants take turns. Held owners are left out, and tenants whose limits have no room for the first.
-- Tenants and owners are read in the order of their indexes, as far as they are needed. Each owner has the size of their
-- next sub-order, the claims of their tenant, and its limits. $1 limit.
with next_tenant as materialized (
    select claim.*
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
    where claim.owner = '' and claim.tenant <> '' and claim.waiting > 0 and not claim.blocked
    order by claim.promised, claim.level, claim.sub_orders, claim.rank
    limit $1
)
select next_tenant.tenant, next_owner.owner, next_owner.rank, next_owner.files, next_owner.bytes,
    next_tenant.sub_orders + next_tenant.promised as tenant_sub_orders,
    next_tenant.files + next_tenant.promised_files as tenant_files,
    next_tenant.bytes + next_tenant.promised_bytes as tenant_bytes,
    most.sub_orders as most_tenant_sub_orders, most.files as most_tenant_files, most.bytes as most_tenant_bytes
from next_tenant
left join rs_order.storage_limit most on most.tenant = next_tenant.tenant and most.kind = 'tenant'
cross join lateral (
    select waiting.owner, waiting.rank, waiting.files, waiting.bytes,
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
