-- Whose turn it is, without a look at every tenant and user. Triggers keep it, so the previous version does, too.

create or replace function rs_order.use_level(
    bytes double precision, as_of timestamptz, weight double precision, half_life double precision)
returns double precision language sql immutable
return case
    when bytes >= 1 then
        (ln(bytes) - ln(coalesce(weight, 1))) / ln(2::double precision)
        + extract(epoch from as_of)::double precision / half_life
    else '-infinity' end;

alter table rs_order.share
    add column half_life double precision not null default 21600 check (half_life > 0),
    add column level double precision not null
        generated always as (rs_order.use_level(used_bytes, used_at, weight, half_life)) stored;

alter table rs_order.running_sub_order
    add column files bigint not null default 0,
    add column bytes bigint not null default 0,
    add column counted boolean not null default false;

alter table rs_order.waiting_user
    add column level double precision not null default '-infinity',
    add column running integer not null default 0;
create index waiting_user_turn on rs_order.waiting_user (tenant, level, running, rank) where woken_at is null;

create index tenant_inactive on rs_order.tenant (name) where not active;

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
    primary key (tenant, owner)
);
-- Tenants in the order of their turns.
create index capacity_claim_turn on rs_order.capacity_claim (promised, level, sub_orders, rank)
    where owner = '' and tenant <> '' and waiting > 0;

-- The same numbers, counted.
create view rs_order.counted_claim as
with claim as (
    select tenant, owner, 1 as sub_orders, files, bytes, 0 as promised, 0 as waiting, null::timestamptz as rank
    from rs_order.running_sub_order
    union all
    select tenant, owner, 0, 0, 0, (woken_at is not null)::integer, (woken_at is null)::integer,
        case when woken_at is null then rank end
    from rs_order.waiting_user
)
select ''::text as tenant, ''::text as owner, coalesce(sum(sub_orders), 0)::integer as sub_orders,
    coalesce(sum(files), 0)::bigint as files, coalesce(sum(bytes), 0)::bigint as bytes,
    coalesce(sum(promised), 0)::integer as promised, coalesce(sum(waiting), 0)::integer as waiting,
    null::timestamptz as rank
from claim
union all
select tenant, '', sum(sub_orders)::integer, sum(files)::bigint, sum(bytes)::bigint, sum(promised)::integer,
    sum(waiting)::integer, min(rank)
from claim group by tenant
union all
select tenant, owner, sum(sub_orders)::integer, sum(files)::bigint, sum(bytes)::bigint, 0, 0, null
from claim group by tenant, owner having sum(sub_orders) > 0;

-- Begin to count, or count everything again.
create function rs_order.count_claims() returns void language plpgsql as $$
begin
    delete from rs_order.capacity_claim;
    update rs_order.running_sub_order set counted = true where not counted;
    insert into rs_order.capacity_claim (
        tenant, owner, sub_orders, files, bytes, promised, waiting, rank, level)
    select claim.tenant, claim.owner, claim.sub_orders, claim.files, claim.bytes, claim.promised, claim.waiting,
        claim.rank, coalesce(share.level, '-infinity')
    from rs_order.counted_claim claim
    left join rs_order.share on claim.owner = '' and share.tenant = claim.tenant and share.owner = '';
    update rs_order.waiting_user set level = level;  -- the trigger sets it
end $$;

create function rs_order.is_counted() returns boolean language sql stable
return exists (select from rs_order.capacity_claim where tenant = '' and owner = '');

-- While nothing is limited, nobody waits, and nothing is counted.
create function rs_order.stop_to_count() returns void language plpgsql as $$
begin
    if rs_order.is_counted() then
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
    waits integer := (tg_op <> 'DELETE' and new.woken_at is null)::integer
        - (tg_op <> 'INSERT' and old.woken_at is null)::integer;
    promises integer := (tg_op <> 'DELETE' and new.woken_at is not null)::integer
        - (tg_op <> 'INSERT' and old.woken_at is not null)::integer;
begin
    update rs_order.capacity_claim set waiting = waiting + waits, promised = promised + promises
    where tenant = '' and owner = '' and (waits, promises) <> (0, 0);
    insert into rs_order.capacity_claim as claim (tenant, owner, waiting, promised, level, rank)
    select concerned, '', waits, promises, coalesce(share.level, '-infinity'), (
        select min(rank) from rs_order.waiting_user where tenant = concerned and woken_at is null)
    from (select) as one
    left join rs_order.share on share.tenant = concerned and share.owner = ''
    on conflict (tenant, owner) do update
    set waiting = claim.waiting + excluded.waiting, promised = claim.promised + excluded.promised,
        rank = excluded.rank;
    return null;
end $$;
create trigger waiting_user_added after insert or delete on rs_order.waiting_user
    for each row execute function rs_order.count_waiting();
create trigger waiting_user_changed after update on rs_order.waiting_user for each row
    when ((old.woken_at is null) is distinct from (new.woken_at is null) or old.rank is distinct from new.rank)
    execute function rs_order.count_waiting();

create function rs_order.set_level() returns trigger language plpgsql as $$
begin
    if new.owner = '' then
        update rs_order.capacity_claim set level = new.level where tenant = new.tenant and owner = '';
    else
        update rs_order.waiting_user set level = level where tenant = new.tenant and owner = new.owner;
    end if;
    return null;
end $$;
create trigger share_level after insert or update on rs_order.share
    for each row execute function rs_order.set_level();

create function rs_order.set_levels_of_role() returns trigger language plpgsql as $$
begin
    update rs_order.waiting_user set level = level
    where tenant = coalesce(new.tenant, old.tenant) and role = coalesce(new.role, old.role);
    return null;
end $$;
create trigger role_weight_level after insert or update or delete on rs_order.role_weight
    for each row execute function rs_order.set_levels_of_role();

select rs_order.count_claims() where exists (select from rs_order.waiting_user);
