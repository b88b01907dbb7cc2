-- The first version. schema/platform.sql explains the tables as they are now.

create table rs_order.tenant (
    name text primary key check (name ~ '^[a-z][a-z0-9_]{0,47}$'),
    host text,
    active boolean not null default true,
    created_at timestamptz not null default now(),
    maintenance boolean not null default false,
    maintenance_at timestamptz,
    event_at timestamptz
);

create table rs_order.outbox (
    id bigint generated always as identity primary key,
    partition smallint not null check (partition between 0 and 15),
    kind text not null,
    tenant text not null,
    stream text,
    body text not null,
    correlation_id text,
    message_id uuid not null,
    due_at timestamptz,
    created_at timestamptz not null default clock_timestamp(),
    constraint delayed_rows_have_no_stream check (stream is null or due_at is null)
);
create index outbox_at_once on rs_order.outbox (partition, id) where due_at is null;
create index outbox_delayed on rs_order.outbox (partition, due_at) where due_at is not null;

create table rs_order.running_sub_order (
    tenant text not null,
    sub_order_id bigint not null,
    owner text not null,
    started_at timestamptz not null default now(),
    primary key (tenant, sub_order_id)
);

create table rs_order.waiting_user (
    tenant text not null,
    owner text not null,
    rank timestamptz not null,
    primary key (tenant, owner)
);
create index waiting_user_rank on rs_order.waiting_user (rank);
