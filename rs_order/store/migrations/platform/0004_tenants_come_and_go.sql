-- Tenant events come in any order, and more than once: the newest word counts.

alter table rs_order.tenant add column said_at timestamptz;
