-- Maintenance mode is a fact about a tenant that all instances share.

alter table rs_order.tenant
    add column maintenance boolean not null default false,
    add column maintenance_at timestamptz;
