-- name: all
-- In the order in which they were added: the first ones have metrics of their own.
select name, host, active from rs_order.tenant order by created_at, name

-- name: add
-- Add or activate a tenant, unless a newer event of the platform is known. $1 name, $2 host (null: keep),
-- $3 time of the platform's event (null: an operator adds it). What an operator does now is no older than any
-- known event: one that is dated in the future would otherwise hide the platform's events until then.
insert into rs_order.tenant (name, host, event_at) values ($1, $2, $3)
on conflict (name) do update set
    active = true,
    host = coalesce(excluded.host, tenant.host),
    event_at = coalesce(excluded.event_at, least(tenant.event_at, clock_timestamp()))
where tenant.event_at is null or $3::timestamptz is null or tenant.event_at <= $3
returning name

-- name: deactivate
-- Deactivate a tenant, unless a newer event of the platform is known. An unknown tenant is recorded, too: its
-- activation may be on the way. $1 name, $2 time of the platform's event.
insert into rs_order.tenant (name, active, event_at) values ($1, false, $2)
on conflict (name) do update set active = false, event_at = excluded.event_at
where tenant.event_at is null or tenant.event_at <= excluded.event_at
returning name

-- name: lock
-- Let changes of tenants follow each other, so that each sees the state before it.
select pg_advisory_xact_lock(72260002)

-- name: state
-- A tenant as the audit shows it. $1 name.
select jsonb_build_object('active', active, 'host', host) from rs_order.tenant where name = $1

-- name: disable
-- An operator stops serving a tenant. What they do now is no older than any known event (see add). $1 name.
update rs_order.tenant set active = false, event_at = least(event_at, clock_timestamp())
where active and name = $1
returning name

-- name: save_host
-- $1 name, $2 host.
update rs_order.tenant set host = $2 where name = $1 and host is distinct from $2

-- name: host
-- $1 name.
select host from rs_order.tenant where name = $1

-- name: in_maintenance
-- $1 name.
select maintenance from rs_order.tenant where active and name = $1

-- name: maintenance_states
-- The state of every active tenant. The date of a tenant that never was in maintenance is its creation.
select name, maintenance as active, coalesce(maintenance_at, created_at) as at
from rs_order.tenant where active order by name

-- name: projects
-- Tenants by name, active or not, with the bytes of their tables and indexes on disk. $1 names, or null: all, $2 after
-- this name, $3 limit.
select tenant.name, tenant.active, tenant.created_at, tenant.maintenance as in_maintenance,
       coalesce(maintenance_at, created_at) as maintenance_at,
       coalesce((
           select sum(pg_total_relation_size(pg_class.oid)) from pg_class
           join pg_namespace on pg_namespace.oid = pg_class.relnamespace
           where pg_namespace.nspname = 'order_' || tenant.name and pg_class.relkind = 'r'
       ), 0)::bigint as bytes
from rs_order.tenant
where ($1::text[] is null or tenant.name = any ($1)) and tenant.name > $2
order by tenant.name
limit $3

-- name: switch_maintenance
-- Returns whether the tenant was in maintenance. The date stays if the state doesn't change. $1 name, $2 whether
-- in maintenance, $3 now.
with old as (select name, maintenance from rs_order.tenant where active and name = $1 for update)
update rs_order.tenant
set maintenance = $2,
    maintenance_at = case when tenant.maintenance = $2 then maintenance_at else $3 end
from old
where tenant.name = old.name
returning old.maintenance
