-- Holds of tenants, users and orders. The previous version doesn't read them: it starts what is held.

create table rs_order.hold (
    id bigint generated always as identity primary key,
    tenant text not null,
    owner text,
    order_id bigint,
    reason text not null,
    created_by text not null,
    created_at timestamptz not null,
    until timestamptz not null,
    constraint hold_of_one_thing check (owner is null or order_id is null)
);
create index hold_of_tenant on rs_order.hold (tenant, owner, order_id);
