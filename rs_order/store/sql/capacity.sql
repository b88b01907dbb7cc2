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
-- The capacity in use, the number of other owners to whom capacity is promised, whether some is promised to this one,
-- and whether others wait who could be woken. $1 tenant, $2 owner.
select (
        select count(*)
        from rs_order.running_sub_order running
        join rs_order.tenant on tenant.name = running.tenant and tenant.active
    ) as used,
    (
        select count(*)
        from rs_order.waiting_user waiting
        join rs_order.tenant on tenant.name = waiting.tenant and tenant.active
        where waiting.woken_at is not null and (waiting.tenant, waiting.owner) <> ($1, $2)
    ) as promised,
    exists (
        select from rs_order.waiting_user where tenant = $1 and owner = $2 and woken_at is not null) as woken,
    exists (
        select from rs_order.waiting_user waiting
        join rs_order.tenant on tenant.name = waiting.tenant and tenant.active
        where waiting.woken_at is null and (waiting.tenant, waiting.owner) <> ($1, $2) and not exists (
            select from rs_order.hold
            where hold.tenant = waiting.tenant and order_id is null
              and (hold.owner is null or hold.owner = waiting.owner))
    ) as others_wait

-- name: acquire
-- $1 tenant, $2 owner, $3 sub-orders.
insert into rs_order.running_sub_order (tenant, owner, sub_order_id)
select $1, $2, unnest($3::bigint[])
on conflict do nothing

-- name: charge
-- Add bytes to the recent use of a tenant and of an owner. $1 tenant, $2 owner, $3 bytes, $4 now, $5 half-life.
insert into rs_order.share (tenant, owner, used_bytes, used_at)
values ($1, '', $3, $4), ($1, $2, $3, $4)
on conflict (tenant, owner) do update
set used_bytes = rs_order.decayed(share.used_bytes, share.used_at, excluded.used_at, $5) + excluded.used_bytes,
    used_at = greatest(share.used_at, excluded.used_at)

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
-- is free for several, tenants take turns. Held owners are left out. $1 limit, $2 half-life.
with tenant_running as materialized (
    select tenant, count(*) as sub_orders from rs_order.running_sub_order group by tenant
), woken as materialized (
    select tenant, count(*) as owners from rs_order.waiting_user where woken_at is not null group by tenant
), next_tenant as materialized (
    -- Tenants are looked up in their order until enough have a waiting owner. All that are equal to the last one count:
    -- the lowest rank decides among them.
    select tenant_in_order.*, first.rank
    from (
        select served.name as tenant, coalesce(woken.owners, 0) as woken,
            rs_order.use_level(share.used_bytes, share.used_at, share.weight, $2) as level,
            coalesce(tenant_running.sub_orders, 0) as running
        from rs_order.tenant served
        left join rs_order.share on share.tenant = served.name and share.owner = ''
        left join tenant_running on tenant_running.tenant = served.name
        left join woken on woken.tenant = served.name
        where served.active
        order by woken, level, running
    ) as tenant_in_order
    cross join lateral (
        select waiting.rank
        from rs_order.waiting_user waiting
        where waiting.tenant = tenant_in_order.tenant and waiting.woken_at is null
          and not exists (
              select from rs_order.hold
              where hold.tenant = waiting.tenant and order_id is null
                and (hold.owner is null or hold.owner = waiting.owner))
        order by waiting.rank limit 1
    ) as first
    order by woken, level, running
    fetch first $1 rows with ties
)
select next_tenant.tenant, next_owner.owner, next_owner.rank
from next_tenant
cross join lateral (
    select waiting.owner, waiting.rank, row_number() over (
        order by rs_order.use_level(
                share.used_bytes, share.used_at, coalesce(share.weight, role_weight.weight), $2),
            coalesce(running.sub_orders, 0), waiting.rank
    ) as number
    from rs_order.waiting_user waiting
    left join rs_order.share on share.tenant = waiting.tenant and share.owner = waiting.owner
    left join rs_order.role_weight on role_weight.tenant = waiting.tenant and role_weight.role = waiting.role
    left join (
        select owner, count(*) as sub_orders from rs_order.running_sub_order running
        where running.tenant = next_tenant.tenant group by owner
    ) as running on running.owner = waiting.owner
    where waiting.tenant = next_tenant.tenant and waiting.woken_at is null
      and not exists (
          select from rs_order.hold
          where hold.tenant = waiting.tenant and order_id is null
            and (hold.owner is null or hold.owner = waiting.owner))
    order by number limit $1
) as next_owner
order by next_tenant.woken + next_owner.number, next_tenant.level, next_tenant.running, next_tenant.rank
limit $1

-- name: wake
-- $1 tenants, $2 owners.
update rs_order.waiting_user waiting set woken_at = clock_timestamp()
from unnest($1::text[], $2::text[]) as next (tenant, owner)
where waiting.tenant = next.tenant and waiting.owner = next.owner

-- name: woken
-- Owners of a tenant to whom capacity is promised. $1 tenant.
select owner from rs_order.waiting_user where tenant = $1 and woken_at is not null order by owner
