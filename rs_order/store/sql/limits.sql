-- name: lock
-- One round at a time while the service has a limit.
select pg_advisory_xact_lock(7226, 100)

-- name: running
-- Nobody settles the sub-orders of tenants that are away: their places are others' until they come again.
select count(*)
from rs_order.running_sub_order running
join rs_order.tenant on tenant.name = running.tenant and tenant.active

-- name: started
-- $1 tenant, $2 owner, $3 sub-orders.
insert into rs_order.running_sub_order (tenant, owner, sub_order_id)
select $1, $2, unnest($3::bigint[])
on conflict do nothing

-- name: ended
-- $1 tenant, $2 sub-orders.
delete from rs_order.running_sub_order where tenant = $1 and sub_order_id = any ($2)

-- name: wait
-- $1 tenant, $2 owner, $3 rank of the next sub-order.
insert into rs_order.waiting_user (tenant, owner, rank) values ($1, $2, $3)
on conflict (tenant, owner) do update set rank = excluded.rank

-- name: next_users
-- Take the users whose turn it is: fewest running sub-orders first, then the lowest rank. $1 at most.
with turn as (
    select waiting.tenant, waiting.owner
    from rs_order.waiting_user waiting
    join rs_order.tenant served on served.name = waiting.tenant and served.active
    left join (
        select tenant, owner, count(*) as sub_orders
        from rs_order.running_sub_order group by tenant, owner
    ) as running using (tenant, owner)
    order by coalesce(running.sub_orders, 0), waiting.rank
    limit $1
)
delete from rs_order.waiting_user waiting using turn
where waiting.tenant = turn.tenant and waiting.owner = turn.owner
returning waiting.tenant, waiting.owner
