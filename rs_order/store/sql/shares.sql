-- name: list
-- The weights of a tenant, of its roles and of its users, with the recent uses; those who used most first. $1 tenant,
-- $2 now, $3 half-life, $4 the most users.
(select 'tenant' as kind, $1::text as name, share.weight, coalesce(
    rs_order.decayed(share.used_bytes, share.used_at, $2, $3), 0) as used_bytes
from (select) as one left join rs_order.share on share.tenant = $1 and share.owner = '')
union all
(select 'role', role, weight, null from rs_order.role_weight where tenant = $1 order by role)
union all
(select 'user', owner, weight, rs_order.decayed(used_bytes, used_at, $2, $3) as used
from rs_order.share where tenant = $1 and owner <> ''
order by used desc, owner limit $4)

-- name: weight
-- $1 tenant, $2 owner (empty: the tenant).
select weight from rs_order.share where tenant = $1 and owner = $2

-- name: set_weight
-- $1 tenant, $2 owner (empty: the tenant), $3 weight (null: the default), $4 now.
insert into rs_order.share (tenant, owner, weight, used_at) values ($1, $2, $3, $4)
on conflict (tenant, owner) do update set weight = excluded.weight

-- name: role_weight
-- $1 tenant, $2 role.
select weight from rs_order.role_weight where tenant = $1 and role = $2

-- name: set_role_weight
-- $1 tenant, $2 role, $3 weight.
insert into rs_order.role_weight (tenant, role, weight) values ($1, $2, $3)
on conflict (tenant, role) do update set weight = excluded.weight

-- name: reset_role_weight
-- $1 tenant, $2 role.
delete from rs_order.role_weight where tenant = $1 and role = $2

-- name: limits
-- The limits of a tenant and of each of its users. $1 tenant.
select kind, sub_orders, files, bytes from rs_order.storage_limit where tenant = $1 order by kind

-- name: set_limit
-- $1 tenant, $2 kind, $3 sub-orders, $4 files, $5 bytes.
insert into rs_order.storage_limit (tenant, kind, sub_orders, files, bytes) values ($1, $2, $3, $4, $5)
on conflict (tenant, kind) do update
set sub_orders = excluded.sub_orders, files = excluded.files, bytes = excluded.bytes

-- name: reset_limit
-- $1 tenant, $2 kind.
delete from rs_order.storage_limit where tenant = $1 and kind = $2
