-- name: lock
-- Only one transaction at a time acquires or releases capacity while the service has a limit.
select pg_advisory_xact_lock(7226, 100)

-- name: used
-- Sub-orders of inactive tenants don't count towards the limit: nothing will settle them, so other tenants
-- may use their capacity.
select count(*)
from rs_order.running_sub_order running
join rs_order.tenant on tenant.name = running.tenant and tenant.active

-- name: acquire
-- $1 tenant, $2 owner, $3 sub-orders.
insert into rs_order.running_sub_order (tenant, owner, sub_order_id)
select $1, $2, unnest($3::bigint[])
on conflict do nothing

-- name: release
-- $1 tenant, $2 sub-orders.
delete from rs_order.running_sub_order where tenant = $1 and sub_order_id = any ($2)

-- name: wait
-- $1 tenant, $2 owner, $3 rank of the next sub-order.
insert into rs_order.waiting_user (tenant, owner, rank) values ($1, $2, $3)
on conflict (tenant, owner) do update set rank = excluded.rank

-- name: next_waiters
-- Delete and return the owners who start next: fewest running sub-orders first, then the lowest rank. Held ones go on
-- waiting.
-- $1 limit.
with next as (
    select waiting.tenant, waiting.owner
    from rs_order.waiting_user waiting
    join rs_order.tenant served on served.name = waiting.tenant and served.active
    left join (
        select tenant, owner, count(*) as sub_orders
        from rs_order.running_sub_order group by tenant, owner
    ) as running using (tenant, owner)
    where not exists (
        select from rs_order.hold
        where hold.tenant = waiting.tenant and order_id is null
          and (hold.owner is null or hold.owner = waiting.owner))
    order by coalesce(running.sub_orders, 0), waiting.rank
    limit $1
)
delete from rs_order.waiting_user waiting using next
where waiting.tenant = next.tenant and waiting.owner = next.owner
returning waiting.tenant, waiting.owner
