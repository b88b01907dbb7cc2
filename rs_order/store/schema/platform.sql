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
    traceparent text,                             -- of the trace that it belongs to; null: traces are off
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
    role text,                                    -- of the owner, when they ordered it
    woken_at timestamptz,                         -- capacity for one sub-order is promised to them; null: they wait
    primary key (tenant, owner)
);
create index waiting_user_rank on rs_order.waiting_user (rank);
create index waiting_user_next on rs_order.waiting_user (tenant, rank) where woken_at is null;
create index waiting_user_woken on rs_order.waiting_user (tenant) where woken_at is not null;

-- Weights and recent use. Free capacity goes to the tenant, and within it to the owner, whose use divided by their
-- weight is smallest. Use is written while the service has a limit.
create table rs_order.share (
    tenant text not null,
    owner text not null,                          -- empty: the tenant itself
    weight double precision check (weight > 0),   -- null: that of the owner's role, else 1
    used_bytes double precision not null default 0 check (used_bytes >= 0),  -- asked of storage, decayed
    used_at timestamptz not null,                 -- when that was true
    primary key (tenant, owner)
);
create index share_of_tenant on rs_order.share (tenant) where owner = '';

create table rs_order.role_weight (
    tenant text not null,
    role text not null,
    weight double precision not null check (weight > 0),
    primary key (tenant, role)
);

-- What is left at an instant of bytes that were used before, halved with each half-life (in seconds).
create function rs_order.decayed(bytes double precision, as_of timestamptz, at timestamptz, half_life double precision)
returns double precision language sql stable
return bytes * power(2, - least(100, greatest(0, extract(epoch from at - as_of)::double precision / half_life)));

-- A number that orders uses divided by their weights. Since all decay alike, it doesn't change as time passes.
create function rs_order.use_level(
    bytes double precision, as_of timestamptz, weight double precision, half_life double precision)
returns double precision language sql stable
return case
    when bytes >= 1 then
        (ln(bytes) - ln(coalesce(weight, 1))) / ln(2::double precision)
        + extract(epoch from as_of)::double precision / half_life
    else '-infinity' end;

-- What an operator holds: storage is asked for nothing new of a tenant, a user or an order as long as the row exists.
-- The step end-hold deletes it at its end.
create table rs_order.hold (
    id bigint generated always as identity primary key,
    tenant text not null,
    owner text,                                   -- a user; null, with a null order_id: the whole tenant
    order_id bigint,
    reason text not null,
    created_by text not null,
    created_at timestamptz not null,
    until timestamptz not null,
    constraint hold_of_one_thing check (owner is null or order_id is null)
);
create index hold_of_tenant on rs_order.hold (tenant, owner, order_id);

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

-- The index of the dead letters. They stay in their queues on the broker; this table makes them quick to find,
-- and decides what becomes of them. A row is added by the consumer that dead-letters, or by the watcher.
create table rs_order.dead_letter (
    id text primary key,
    number bigint not null generated always as identity,  -- the position in lists
    identity text not null,                       -- the id in the header, or a digest of the message
    vhost text not null,                          -- multitenant or instance
    queue text not null,                          -- holds it
    origin text,                                  -- the queue it came from, if known
    tenant text,
    reason text not null,
    detail text,
    order_id bigint,
    step text,                                    -- name of the step, if it is one
    message_id text,
    correlation_id text,
    died_at timestamptz,
    times integer not null,                       -- how often it became a dead letter
    headers jsonb not null,
    properties jsonb not null,
    body bytea not null,
    state text not null default 'open' check (state in ('open', 'replayed', 'discarded', 'gone')),
    in_queue boolean not null default true,       -- false: it has left its queue
    changed_at timestamptz,
    changed_by text,
    because text,
    indexed_at timestamptz not null default clock_timestamp()
);
create index dead_letter_open on rs_order.dead_letter (number) where state = 'open';
create index dead_letter_order on rs_order.dead_letter (order_id, step, tenant) where state = 'open';
create index dead_letter_in_queue on rs_order.dead_letter (vhost, queue, origin, state) where in_queue;
create index dead_letter_closed on rs_order.dead_letter (changed_at) where not in_queue;

-- Queues that dead letters came from and that don't exist now, so that nothing can be replayed to them.
create table rs_order.missing_queue (
    vhost text not null,
    queue text not null,
    primary key (vhost, queue)
);

-- An operator's act on all dead letters that a filter selects. Steps carry it out in slices.
create table rs_order.dead_letter_run (
    id bigint primary key generated always as identity,
    act text not null check (act in ('replay', 'discard')),
    filter jsonb not null,
    rate double precision not null,               -- replays per second
    because text,
    operator text not null,
    door text not null,
    tenant text,                                  -- of the operator, if they may see only one
    state text not null default 'running' check (state in ('running', 'done', 'cancelled')),
    total integer not null,                       -- matched at the beginning
    done integer not null default 0,
    rejected integer not null default 0,
    rejections jsonb not null default '{}',       -- reasons of the first ones, by id
    last_number bigint not null default 0,        -- dead letters up to this one were handled
    up_to bigint not null,                        -- later ones are not part of it
    created_at timestamptz not null default clock_timestamp(),
    ended_at timestamptz,
    role text,                                    -- of the operator
    correlation_id text                           -- of the request that started it
);
