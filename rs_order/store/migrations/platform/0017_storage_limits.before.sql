-- Limits of what is in flight at storage, of tenants and of users. The previous version doesn't keep them.

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

alter table rs_order.waiting_user
    add column files bigint not null default 0,
    add column bytes bigint not null default 0;
alter table rs_order.capacity_claim
    add column promised_files bigint not null default 0,
    add column promised_bytes bigint not null default 0,
    add column blocked boolean not null default false;
drop index rs_order.capacity_claim_turn;
create index capacity_claim_turn on rs_order.capacity_claim (promised, level, sub_orders, rank)
    where owner = '' and tenant <> '' and waiting > 0 and not blocked;

create or replace view rs_order.counted_claim as
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

create or replace function rs_order.count_claims() returns void language plpgsql as $$
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

create or replace function rs_order.stop_to_count() returns void language plpgsql as $$
begin
    if rs_order.is_counted() and not exists (select from rs_order.storage_limit) then
        delete from rs_order.waiting_user;
        delete from rs_order.capacity_claim;
    end if;
end $$;

create or replace function rs_order.count_waiting() returns trigger language plpgsql as $$
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

drop trigger waiting_user_changed on rs_order.waiting_user;
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

create or replace function rs_order.set_level() returns trigger language plpgsql as $$
begin
    if new.owner = '' then
        update rs_order.capacity_claim set level = new.level where tenant = new.tenant and owner = '';
    else
        update rs_order.waiting_user set level = level where tenant = new.tenant and owner = new.owner;
        perform rs_order.renew_blocked(new.tenant);
    end if;
    return null;
end $$;

create or replace function rs_order.set_levels_of_role() returns trigger language plpgsql as $$
begin
    update rs_order.waiting_user set level = level
    where tenant = coalesce(new.tenant, old.tenant) and role = coalesce(new.role, old.role);
    perform rs_order.renew_blocked(coalesce(new.tenant, old.tenant));
    return null;
end $$;
