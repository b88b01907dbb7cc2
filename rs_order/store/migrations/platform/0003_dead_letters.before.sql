-- The index of the dead letters. schema/platform.sql explains the tables.

create table rs_order.dead_letter (
    id text primary key,
    number bigint not null generated always as identity,
    identity text not null,
    vhost text not null,
    queue text not null,
    origin text,
    tenant text,
    reason text not null,
    detail text,
    order_id bigint,
    step text,
    message_id text,
    correlation_id text,
    died_at timestamptz,
    times integer not null,
    headers jsonb not null,
    properties jsonb not null,
    body bytea not null,
    state text not null default 'open' check (state in ('open', 'replayed', 'discarded', 'gone')),
    in_queue boolean not null default true,
    changed_at timestamptz,
    changed_by text,
    because text,
    indexed_at timestamptz not null default clock_timestamp()
);
create index dead_letter_open on rs_order.dead_letter (number) where state = 'open';
create index dead_letter_order on rs_order.dead_letter (order_id, step, tenant) where state = 'open';
create index dead_letter_in_queue on rs_order.dead_letter (vhost, queue, origin, state) where in_queue;
create index dead_letter_closed on rs_order.dead_letter (changed_at) where not in_queue;

create table rs_order.missing_queue (
    vhost text not null,
    queue text not null,
    primary key (vhost, queue)
);

create table rs_order.dead_letter_run (
    id bigint primary key generated always as identity,
    act text not null check (act in ('replay', 'discard')),
    filter jsonb not null,
    rate double precision not null,
    because text,
    operator text not null,
    door text not null,
    tenant text,
    state text not null default 'running' check (state in ('running', 'done', 'cancelled')),
    total integer not null,
    done integer not null default 0,
    rejected integer not null default 0,
    rejections jsonb not null default '{}',
    last_number bigint not null default 0,
    up_to bigint not null,
    created_at timestamptz not null default clock_timestamp(),
    ended_at timestamptz
);
