-- What isn't a tenant's: the tenants themselves, the outbox, and what limits that span tenants need.

create table rs_order.tenant (
    name text primary key check (name ~ '^[a-z][a-z0-9_]{0,47}$'),
    host text,                                    -- public address of the project, last known
    active boolean not null default true,
    created_at timestamptz not null default now()
);

-- Whatever leaves the service. A row is written in the commit that makes it true, and removed when the
-- broker has confirmed it.
create table rs_order.outbox (
    id bigint generated always as identity primary key,
    slot smallint not null check (slot between 0 and 15),  -- one relay at a time works on a slot
    kind text not null,
    tenant text not null,
    stream text,                                  -- rows of one stream leave in the order of their ids
    body text not null,                           -- JSON
    correlation_id text,
    message_id uuid not null,
    due_at timestamptz,                           -- not before; null: at once
    created_at timestamptz not null default clock_timestamp(),
    constraint delayed_rows_have_no_stream check (stream is null or due_at is null)
);
create index outbox_at_once on rs_order.outbox (slot, id) where due_at is null;
create index outbox_delayed on rs_order.outbox (slot, due_at) where due_at is not null;

-- Storage sub-orders that storage was asked for and has not settled: one row each, all tenants, so
-- that the limit of the service can be held and a tenant's fair share be found.
create table rs_order.running_sub_order (
    tenant text not null,
    sub_order_id bigint not null,
    owner text not null,
    started_at timestamptz not null default now(),
    primary key (tenant, sub_order_id)
);

-- Users who had to wait because the service was at its limit.
create table rs_order.waiting_user (
    tenant text not null,
    owner text not null,
    rank timestamptz not null,                    -- of the user's next sub-order; the lowest goes first
    primary key (tenant, owner)
);
create index waiting_user_rank on rs_order.waiting_user (rank);
