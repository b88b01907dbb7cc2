-- name: all
select name, host from rs_order.tenant where active order by name

-- name: add
-- $1 name, $2 host (null: keep).
insert into rs_order.tenant (name, host) values ($1, $2)
on conflict (name) do update set active = true, host = coalesce(excluded.host, tenant.host)

-- name: keep_host
-- $1 name, $2 host.
update rs_order.tenant set host = $2 where name = $1 and host is distinct from $2

-- name: in_maintenance
-- $1 name.
select maintenance from rs_order.tenant where active and name = $1

-- name: maintenance
-- Every tenant; who was never in maintenance has been out of it since he came.
select name, maintenance as active, coalesce(maintenance_at, created_at) as at
from rs_order.tenant where active order by name

-- name: switch_maintenance
-- The date stays when nothing changes. $1 name, $2 whether in maintenance, $3 now.
update rs_order.tenant
set maintenance = $2,
    maintenance_at = case when maintenance = $2 then maintenance_at else $3 end
where active and name = $1
returning name

-- name: begin_round
-- Count a periodic round as done, if it is the next one. $1 name, $2 number.
insert into periodic_round (name, round) values ($1, $2)
on conflict (name) do update set round = $2 where periodic_round.round = $2 - 1
returning round
