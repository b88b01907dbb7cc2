-- name: lock
-- Wait until no scheduling run of the tenant is under way, and let none begin (see sub_orders.lock_owner). $1 schema.
select pg_advisory_xact_lock(hashtextextended($1, 2))

-- name: add
-- $1 tenant, $2 owner, $3 order, $4 reason, $5 by whom, $6 now, $7 until.
insert into rs_order.hold (tenant, owner, order_id, reason, created_by, created_at, until)
values ($1, $2, $3, $4, $5, $6, $7)
returning *

-- name: has_orders
-- $1 owner.
select exists (select from orders where owner = $1 and status <> 'DELETED')

-- name: owner_to_hold
-- The owner of an order of which something may still start. $1 order.
select owner from orders where id = $1 and status not in ('DELETED', 'EXPIRED')

-- name: owner_of_order
-- $1 order.
select owner from orders where id = $1

-- name: end
-- $1 tenant, $2 id, $3 only if its end isn't later (null: at any time).
delete from rs_order.hold where tenant = $1 and id = $2 and ($3::timestamptz is null or until <= $3)
returning *

-- name: find
-- $1 id.
select * from rs_order.hold where id = $1

-- name: list
-- $1 tenant (null: all), $2 after this id, $3 limit.
select * from rs_order.hold where (tenant = $1 or $1 is null) and id > $2 order by id limit $3
