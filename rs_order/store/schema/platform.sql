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
create index tenant_inactive on rs_order.tenant (name) where not active;

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
-- settled.
create table rs_order.running_sub_order (
    tenant text not null,
    sub_order_id bigint not null,
    owner text not null,
    started_at timestamptz not null default now(),
    files bigint not null default 0,              -- that storage was asked for
    bytes bigint not null default 0,
    counted boolean not null default false,       -- it is part of the claims
    primary key (tenant, sub_order_id)
);

-- Owners who wait because the capacity of the service is used up.
create table rs_order.waiting_user (
    tenant text not null,
    owner text not null,
    rank timestamptz not null,                    -- of the owner's next sub-order; the lowest goes first
    role text,                                    -- of the owner, when they ordered it
    woken_at timestamptz,                         -- capacity for one sub-order is promised to them; null: they wait
    level double precision not null default '-infinity',  -- recent use divided by the weight, as use_level has it
    running integer not null default 0,           -- sub-orders of theirs
    files bigint not null default 0,              -- of the owner's next sub-order
    bytes bigint not null default 0,
    primary key (tenant, owner)
);
create index waiting_user_rank on rs_order.waiting_user (rank);
create index waiting_user_next on rs_order.waiting_user (tenant, rank) where woken_at is null;
create index waiting_user_woken on rs_order.waiting_user (tenant) where woken_at is not null;
create index waiting_user_turn on rs_order.waiting_user (tenant, level, running, rank) where woken_at is null;

-- What is left at an instant of bytes that were used before, halved with each half-life (in seconds).
create function rs_order.decayed(bytes double precision, as_of timestamptz, at timestamptz, half_life double precision)
returns double precision language sql stable
return bytes * power(2, - least(100, greatest(0, extract(epoch from at - as_of)::double precision / half_life)));

-- A number that orders uses divided by their weights. Since all decay alike, it doesn't change as time passes.
create function rs_order.use_level(
    bytes double precision, as_of timestamptz, weight double precision, half_life double precision)
returns double precision language sql immutable
return case
    when bytes >= 1 then
        (ln(bytes) - ln(coalesce(weight, 1))) / ln(2::double precision)
        + extract(epoch from as_of)::double precision / half_life
    else '-infinity' end;

-- Weights and recent use. Free capacity goes to the tenant, and within it to the owner, whose use divided by their
-- weight is smallest. Use is written while the service has a limit.
create table rs_order.share (
    tenant text not null,
    owner text not null,                          -- empty: the tenant itself
    weight double precision check (weight > 0),   -- null: that of the owner's role, else 1
    used_bytes double precision not null default 0 check (used_bytes >= 0),  -- asked of storage, decayed
    used_at timestamptz not null,                 -- when that was true
    half_life double precision not null default 21600 check (half_life > 0),  -- seconds
    level double precision not null
        generated always as (rs_order.use_level(used_bytes, used_at, weight, half_life)) stored,
    primary key (tenant, owner)
);
create index share_of_tenant on rs_order.share (tenant) where owner = '';

create table rs_order.role_weight (
    tenant text not null,
    role text not null,
    weight double precision not null check (weight > 0),
    primary key (tenant, role)
);

-- Limits of what is in flight at storage at the same time; 0: none.
create table rs_order.storage_limit (
    tenant text not null,
    kind text not null check (kind in ('tenant', 'user')),  -- user: of each user of the tenant
    sub_orders bigint not null check (sub_orders >= 0),
    files bigint not null check (files >= 0),
    bytes bigint not null check (bytes >= 0),
    primary key (tenant, kind)
);

-- True if there is no room for one more sub-order. What is larger than a whole limit has room when nothing else runs.
create function rs_order.has_no_room(
    most rs_order.storage_limit, sub_orders bigint, files bigint, bytes bigint, more_files bigint, more_bytes bigint)
returns boolean language sql immutable
return sub_orders > 0 and (
    (most.sub_orders > 0 and sub_orders + 1 > most.sub_orders)
    or (most.files > 0 and files + more_files > most.files)
    or (most.bytes > 0 and bytes + more_bytes > most.bytes));

-- The claims on the capacity in numbers: of the service, of each tenant, and of each owner with a running sub-order.
-- Triggers keep them, so that no writer can forget it. While nothing is limited, there is no row, and nothing is counted.
create table rs_order.capacity_claim (
    tenant text not null,                         -- empty: the service, that is all tenants
    owner text not null,                          -- empty: the tenant itself
    sub_orders integer not null default 0,        -- that storage was asked for and has not settled
    files bigint not null default 0,              -- of these sub-orders
    bytes bigint not null default 0,
    promised integer not null default 0,          -- owners to whom capacity is promised
    waiting integer not null default 0,           -- owners to whom nothing is promised yet
    level double precision not null default '-infinity',  -- of a tenant: that of its share
    rank timestamptz,                             -- of a tenant: the lowest of its owners who wait
    promised_files bigint not null default 0,
    promised_bytes bigint not null default 0,
    blocked boolean not null default false,       -- of a tenant: its limits have no room for what is next in it
    primary key (tenant, owner)
);
-- Tenants in the order of their turns.
create index capacity_claim_turn on rs_order.capacity_claim (promised, level, sub_orders, rank)
    where owner = '' and tenant <> '' and waiting > 0 and not blocked;

-- The same numbers, counted.
create view rs_order.counted_claim as
with claim as (
    select tenant, owner, 1 as sub_orders, files, bytes, 0 as promised, 0 as waiting, null::timestamptz as rank,
        0 as promised_files, 0 as promised_bytes
    from rs_order.running_sub_order
    union all
    select tenant, owner, 0, 0, 0, (woken_at is not null)::integer, (woken_at is null)::integer,
        case when woken_at is null then rank end, case when woken_at is null then 0 else files end,
        case when woken_at is null then 0 else bytes end
    from rs_order.waiting_user
)
select ''::text as tenant, ''::text as owner, coalesce(sum(sub_orders), 0)::integer as sub_orders,
    coalesce(sum(files), 0)::bigint as files, coalesce(sum(bytes), 0)::bigint as bytes,
    coalesce(sum(promised), 0)::integer as promised, coalesce(sum(waiting), 0)::integer as waiting,
    null::timestamptz as rank, coalesce(sum(promised_files), 0)::bigint as promised_files,
    coalesce(sum(promised_bytes), 0)::bigint as promised_bytes
from claim
union all
select tenant, '', sum(sub_orders)::integer, sum(files)::bigint, sum(bytes)::bigint, sum(promised)::integer,
    sum(waiting)::integer, min(rank), sum(promised_files)::bigint, sum(promised_bytes)::bigint
from claim group by tenant
union all
select tenant, owner, sum(sub_orders)::integer, sum(files)::bigint, sum(bytes)::bigint, 0, 0, null, 0, 0
from claim group by tenant, owner having sum(sub_orders) > 0;

-- Begin to count, or count everything again.
create function rs_order.count_claims() returns void language plpgsql as $$
begin
    delete from rs_order.capacity_claim;
    update rs_order.running_sub_order set counted = true where not counted;
    insert into rs_order.capacity_claim (
        tenant, owner, sub_orders, files, bytes, promised, waiting, rank, promised_files, promised_bytes, level)
    select claim.tenant, claim.owner, claim.sub_orders, claim.files, claim.bytes, claim.promised, claim.waiting,
        claim.rank, claim.promised_files, claim.promised_bytes, coalesce(share.level, '-infinity')
    from rs_order.counted_claim claim
    left join rs_order.share on claim.owner = '' and share.tenant = claim.tenant and share.owner = '';
    update rs_order.waiting_user set level = level;  -- the trigger sets it
end $$;

create function rs_order.is_counted() returns boolean language sql stable
return exists (select from rs_order.capacity_claim where tenant = '' and owner = '');

-- While nothing is limited, nobody waits, and nothing is counted.
create function rs_order.stop_to_count() returns void language plpgsql as $$
begin
    if rs_order.is_counted() and not exists (select from rs_order.storage_limit) then
        delete from rs_order.waiting_user;
        delete from rs_order.capacity_claim;
    end if;
end $$;

create function rs_order.mark_counted() returns trigger language plpgsql as $$
begin
    new.counted := rs_order.is_counted();
    return new;
end $$;
create trigger running_sub_order_counted before insert on rs_order.running_sub_order
    for each row execute function rs_order.mark_counted();

create function rs_order.count_running() returns trigger language plpgsql as $$
declare
    sign integer := case tg_op when 'INSERT' then 1 else -1 end;
begin
    if not exists (select from changed where counted) or not rs_order.is_counted() then
        return null;
    end if;
    insert into rs_order.capacity_claim as claim (tenant, owner, sub_orders, files, bytes, level)
    select change.tenant, change.owner, sign * change.sub_orders, sign * change.files, sign * change.bytes,
        coalesce(share.level, '-infinity')
    from (
        select coalesce(tenant, '') as tenant, coalesce(owner, '') as owner,
            count(*) as sub_orders, sum(files) as files, sum(bytes) as bytes
        from changed where counted
        group by grouping sets ((), (tenant), (tenant, owner))
    ) as change
    left join rs_order.share on change.owner = '' and share.tenant = change.tenant and share.owner = ''
    on conflict (tenant, owner) do update
    set sub_orders = claim.sub_orders + excluded.sub_orders, files = claim.files + excluded.files,
        bytes = claim.bytes + excluded.bytes;
    delete from rs_order.capacity_claim claim
    where owner <> '' and sub_orders = 0 and (tenant, owner) in (select tenant, owner from changed);
    update rs_order.waiting_user set level = level  -- the trigger sets the number of running sub-orders
    where (tenant, owner) in (select tenant, owner from changed);
    return null;
end $$;
create trigger running_sub_order_added after insert on rs_order.running_sub_order
    referencing new table as changed for each statement execute function rs_order.count_running();
create trigger running_sub_order_removed after delete on rs_order.running_sub_order
    referencing old table as changed for each statement execute function rs_order.count_running();

create function rs_order.begin_to_count() returns trigger language plpgsql as $$
begin
    if not rs_order.is_counted() then
        perform rs_order.count_claims();
    end if;
    return null;
end $$;
create trigger waiting_user_begins before insert or update or delete on rs_order.waiting_user
    for each statement execute function rs_order.begin_to_count();

-- Set what decides the turn of an owner: their share, by their own weight or that of their role.
create function rs_order.set_turn() returns trigger language plpgsql as $$
begin
    select coalesce(
            share.level
                - case when share.weight is null then ln(coalesce(role_weight.weight, 1)) / ln(2::double precision)
                  else 0 end,
            '-infinity'),
        coalesce(claim.sub_orders, 0)
    into new.level, new.running
    from (select) as one
    left join rs_order.share on share.tenant = new.tenant and share.owner = new.owner
    left join rs_order.role_weight on role_weight.tenant = new.tenant and role_weight.role = new.role
    left join rs_order.capacity_claim claim on claim.tenant = new.tenant and claim.owner = new.owner;
    return new;
end $$;
create trigger waiting_user_turn before insert or update on rs_order.waiting_user
    for each row execute function rs_order.set_turn();

create function rs_order.count_waiting() returns trigger language plpgsql as $$
declare
    concerned text := case tg_op when 'DELETE' then old.tenant else new.tenant end;
    came boolean := tg_op <> 'DELETE';
    went boolean := tg_op <> 'INSERT';
    waits integer := (came and new.woken_at is null)::integer - (went and old.woken_at is null)::integer;
    promises integer := (came and new.woken_at is not null)::integer - (went and old.woken_at is not null)::integer;
    more_files bigint := case when came and new.woken_at is not null then new.files else 0 end
        - case when went and old.woken_at is not null then old.files else 0 end;
    more_bytes bigint := case when came and new.woken_at is not null then new.bytes else 0 end
        - case when went and old.woken_at is not null then old.bytes else 0 end;
begin
    update rs_order.capacity_claim
    set waiting = waiting + waits, promised = promised + promises,
        promised_files = promised_files + more_files, promised_bytes = promised_bytes + more_bytes
    where tenant = '' and owner = '' and (waits, promises, more_files, more_bytes) <> (0, 0, 0, 0);
    insert into rs_order.capacity_claim as claim (
        tenant, owner, waiting, promised, promised_files, promised_bytes, level, rank)
    select concerned, '', waits, promises, more_files, more_bytes, coalesce(share.level, '-infinity'), (
        select min(rank) from rs_order.waiting_user where tenant = concerned and woken_at is null)
    from (select) as one
    left join rs_order.share on share.tenant = concerned and share.owner = ''
    on conflict (tenant, owner) do update
    set waiting = claim.waiting + excluded.waiting, promised = claim.promised + excluded.promised,
        promised_files = claim.promised_files + excluded.promised_files,
        promised_bytes = claim.promised_bytes + excluded.promised_bytes, rank = excluded.rank;
    return null;
end $$;
create trigger waiting_user_added after insert or delete on rs_order.waiting_user
    for each row execute function rs_order.count_waiting();
create trigger waiting_user_changed after update on rs_order.waiting_user for each row
    when ((old.woken_at is null, old.rank, old.files, old.bytes)
        is distinct from (new.woken_at is null, new.rank, new.files, new.bytes))
    execute function rs_order.count_waiting();

-- A tenant is blocked while its limits have no room for the sub-order that is next in it.
create function rs_order.set_blocked() returns trigger language plpgsql as $$
begin
    new.blocked := exists (
        select from rs_order.storage_limit most
        cross join lateral (
            select waiting.files, waiting.bytes from rs_order.waiting_user waiting
            where waiting.tenant = new.tenant and waiting.woken_at is null
              and not exists (
                  select from rs_order.hold
                  where hold.tenant = waiting.tenant and order_id is null
                    and (hold.owner is null or hold.owner = waiting.owner))
            order by waiting.level, waiting.running, waiting.rank limit 1
        ) as next
        where most.tenant = new.tenant and most.kind = 'tenant' and rs_order.has_no_room(
            most, new.sub_orders + new.promised, new.files + new.promised_files, new.bytes + new.promised_bytes,
            next.files, next.bytes));
    return new;
end $$;
create trigger capacity_claim_blocked before insert or update on rs_order.capacity_claim
    for each row when (new.owner = '' and new.tenant <> '') execute function rs_order.set_blocked();

-- A limit applies from its commit on.
create function rs_order.apply_limit() returns trigger language plpgsql as $$
declare
    concerned text := case tg_op when 'DELETE' then old.tenant else new.tenant end;
begin
    if not rs_order.is_counted() then
        perform rs_order.count_claims();
    end if;
    update rs_order.capacity_claim set blocked = blocked where tenant = concerned and owner = '';
    return null;
end $$;
create trigger storage_limit_applies after insert or update or delete on rs_order.storage_limit
    for each row execute function rs_order.apply_limit();

-- True if a user has no room for their next sub-order in the limits of each user.
create function rs_order.user_is_full(of_tenant text, of_owner text, more_files bigint, more_bytes bigint)
returns boolean language sql stable
return exists (
    select from rs_order.storage_limit most
    join rs_order.capacity_claim claim on claim.tenant = of_tenant and claim.owner = of_owner
    where most.tenant = of_tenant and most.kind = 'user'
      and rs_order.has_no_room(most, claim.sub_orders, claim.files, claim.bytes, more_files, more_bytes));

-- Another owner may be next in a tenant: the trigger finds out whether its limits have room.
create function rs_order.renew_blocked(of_tenant text) returns void language sql as $$
    update rs_order.capacity_claim set blocked = blocked
    where tenant = of_tenant and owner = ''
      and exists (select from rs_order.storage_limit where tenant = of_tenant and kind = 'tenant');
$$;

create function rs_order.set_level() returns trigger language plpgsql as $$
begin
    if new.owner = '' then
        update rs_order.capacity_claim set level = new.level where tenant = new.tenant and owner = '';
    else
        update rs_order.waiting_user set level = level where tenant = new.tenant and owner = new.owner;
        perform rs_order.renew_blocked(new.tenant);
    end if;
    return null;
end $$;
create trigger share_level after insert or update on rs_order.share
    for each row execute function rs_order.set_level();

create function rs_order.set_levels_of_role() returns trigger language plpgsql as $$
begin
    update rs_order.waiting_user set level = level
    where tenant = coalesce(new.tenant, old.tenant) and role = coalesce(new.role, old.role);
    perform rs_order.renew_blocked(coalesce(new.tenant, old.tenant));
    return null;
end $$;
create trigger role_weight_level after insert or update or delete on rs_order.role_weight
    for each row execute function rs_order.set_levels_of_role();

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

-- What each process says of itself, so that any of them can show all. A process deletes its row when it stops.
create table rs_order.instance (
    id uuid primary key,                          -- of the process
    name text not null,
    role text not null,
    version text not null,
    started_at timestamptz not null,
    seen_at timestamptz not null default clock_timestamp(),  -- when it last wrote this row
    state jsonb not null                          -- its health by component, and its calls of other services
);

-- Wrong passwords of the last minute, so that they count for the deployment and not for each process.
create table rs_order.wrong_password (
    id bigint generated always as identity primary key,
    digest bytea not null,                        -- SHA-256 of project and name
    at timestamptz not null
);
create index wrong_password_of_name on rs_order.wrong_password (digest, at);
