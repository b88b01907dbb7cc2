-- What tenants share: the list of tenants, the outbox, and the capacity of the service.

create table rs_order.tenant (
    name text primary key check (name ~ '^[a-z][a-z0-9_]{0,47}$'),
    host text,                                    -- public address of the project, last known
    active boolean not null default true,         -- served; an inactive tenant keeps its data
    created_at timestamptz not null default now(),
    maintenance boolean not null default false,   -- every change is rejected
    maintenance_at timestamptz,                   -- when it was last switched on or off
    event_at timestamptz                          -- of the platform's last event about "active"
);

-- Messages to be published. A row is written in the transaction that makes it true. It is deleted when the
-- broker has confirmed it.
create table rs_order.outbox (
    id bigint generated always as identity primary key,
    partition smallint not null check (partition between 0 and 31),  -- one relay at a time works on it; the
                                                  -- steps have those from 16 on
    kind text not null,
    tenant text not null,
    stream text,                                  -- rows of one stream are published in the order of their ids
    body text not null,                           -- JSON
    correlation_id text,
    message_id uuid not null,
    due_at timestamptz,                           -- not before this instant; null: at once
    created_at timestamptz not null default clock_timestamp(),
    attempts smallint not null default 0,         -- how often the broker rejected it
    retry_at timestamptz,                         -- it was rejected, and so it waits with its stream until then
    constraint delayed_rows_have_no_stream check (stream is null or due_at is null)
);
create index outbox_now on rs_order.outbox (partition, id) where due_at is null and retry_at is null;
create index outbox_delayed on rs_order.outbox (partition, due_at) where due_at is not null;
create index outbox_rejected on rs_order.outbox (partition, retry_at) where retry_at is not null;
create index outbox_rejected_stream on rs_order.outbox (stream) where retry_at is not null;

-- The capacity in use: one row for each sub-order of any tenant that storage was asked for and has not
-- settled. The limit of the service and the fair share of an owner are computed from it.
create table rs_order.running_sub_order (
    tenant text not null,
    sub_order_id bigint not null,
    owner text not null,
    started_at timestamptz not null default now(),
    primary key (tenant, sub_order_id)
);

-- Owners who wait because the capacity of the service is used up.
create table rs_order.waiting_user (
    tenant text not null,
    owner text not null,
    rank timestamptz not null,                    -- of the owner's next sub-order; the lowest goes first
    primary key (tenant, owner)
);
create index waiting_user_rank on rs_order.waiting_user (rank);

-- The audit of what operators and administrators do, written in the transaction of the act. Entries are only
-- added; the trigger lets only those be deleted that are older than a year (decision 0028).
create table rs_order.audit (
    id bigint generated always as identity primary key,
    at timestamptz not null default clock_timestamp(),
    tenant text,                                  -- null: the whole deployment
    actor text not null,                          -- e-mail of the caller, operating system user, or a peer
    role text,                                    -- of the caller, by REST only
    door text not null check (door in ('rest', 'cli', 'amqp')),
    action text not null,                         -- such as setting.changed
    object_kind text not null,                    -- such as setting
    object_id text not null,
    before jsonb,
    after jsonb,
    reason text,
    correlation_id text
);
create index audit_at on rs_order.audit (at, id);
create index audit_of_tenant on rs_order.audit (tenant, at, id);

create function rs_order.refuse_change_of_audit() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' and old.at < clock_timestamp() - interval '365 days' then
        return old;
    end if;
    raise check_violation using
        message = format('entries of the audit are kept for 365 days: %s is refused', tg_op),
        constraint = 'audit_is_append_only';
end $$;
create trigger audit_is_append_only before update or delete on rs_order.audit
    for each row execute function rs_order.refuse_change_of_audit();
create trigger audit_is_never_truncated before truncate on rs_order.audit
    execute function rs_order.refuse_change_of_audit();
