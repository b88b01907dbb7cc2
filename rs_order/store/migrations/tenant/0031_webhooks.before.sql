-- Webhooks and their deliveries. The previous version doesn't know them.

create table webhook (
    subscription_id uuid primary key references subscription on delete cascade,
    url text not null,
    mode text not null check (mode in ('structured', 'binary')),
    thresholds integer[],
    secret bytea not null,
    old_secret bytea,
    old_secret_until timestamptz,
    state text not null check (state in ('pending', 'active', 'struggling', 'disabled')),
    disabled_because text,
    pending_until timestamptz,
    allowed_rate integer check (allowed_rate > 0),
    ends_with_order boolean not null default false,
    position bigint not null,
    behind boolean not null default true,
    due_at timestamptz,
    resting_until timestamptz,
    claim bigint not null default 0,
    claimed_until timestamptz,
    failures integer not null default 0,
    failing_since timestamptz,
    last_success timestamptz,
    last_failure timestamptz,
    last_status integer,
    last_answer text,
    constraint old_secret_has_an_end check ((old_secret is null) = (old_secret_until is null)),
    constraint disabled_webhook_has_a_reason check ((state = 'disabled') = (disabled_because is not null)),
    constraint pending_webhook_has_an_end check ((state = 'pending') = (pending_until is not null))
);

create table delivery (
    subscription_id uuid not null references webhook on delete cascade,
    position bigint not null,
    order_id bigint not null,
    state text not null default 'waiting' check (state in ('waiting', 'delivered', 'dead')),
    due_at timestamptz,
    attempts integer not null default 0,
    is_replay boolean not null default false,
    attempt_id uuid,
    attempted_at timestamptz,
    status integer,
    answer text,
    primary key (subscription_id, position),
    constraint only_a_waiting_delivery_is_due check (due_at is null or state = 'waiting')
);
create index delivery_due on delivery (subscription_id, due_at, position) where due_at is not null;
create index delivery_waiting on delivery (subscription_id, order_id, position) where state = 'waiting';
create index delivery_dead on delivery (subscription_id, position) where state = 'dead';
create index delivery_of_event on delivery (position);

create table fan_out (
    only_row boolean primary key default true check (only_row),
    position bigint not null default 0
);
insert into fan_out default values;

alter table mail
    add column subscription_id uuid,
    drop constraint mail_kind_check,
    add constraint mail_kind_check check (kind in ('ORDER_CREATED', 'REMINDER', 'WEBHOOK_DISABLED')),
    drop constraint mail_is_about_something,
    add constraint mail_is_about_something check (
        (kind = 'ORDER_CREATED') = (order_id is not null)
        and (kind = 'REMINDER') = (available_before is not null)
        and (kind = 'WEBHOOK_DISABLED') = (subscription_id is not null));

create function wanted(event, subscription, webhook) returns boolean language sql immutable
return case $2.scope when 'mine' then $1.owner = $2.owner when 'order' then $1.order_id = $2.order_id else true end
    and ($2.types is null or exists (
        select from unnest($2.types) as pattern
        where pattern = $1.type or (pattern like '%*' and starts_with($1.type, left(pattern, -1)))))
    and ($3.thresholds is null or $1.type <> 'order.progress'
         or ($1.body::jsonb #>> '{data,threshold}')::integer = any ($3.thresholds));
