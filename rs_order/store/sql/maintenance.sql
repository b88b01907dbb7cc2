-- name: covers
-- $1 name.
select maintenance from rs_order.tenant where active and name = $1

-- name: all
-- Every tenant; who was never in maintenance has been out of it since he came.
select name, maintenance as active, coalesce(maintenance_at, created_at) as at
from rs_order.tenant where active order by name

-- name: switch
-- The date stays when nothing changes. $1 name, $2 whether in maintenance, $3 now.
update rs_order.tenant
set maintenance = $2,
    maintenance_at = case when maintenance = $2 then maintenance_at else $3 end
where active and name = $1
returning name
