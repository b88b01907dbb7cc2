-- Shares of the capacity. The previous version wakes waiting owners without them, and deletes whom it wakes.

alter table rs_order.waiting_user
    add column role text,
    add column woken_at timestamptz;
create index waiting_user_next on rs_order.waiting_user (tenant, rank) where woken_at is null;
create index waiting_user_woken on rs_order.waiting_user (tenant) where woken_at is not null;

create table rs_order.share (
    tenant text not null,
    owner text not null,
    weight double precision check (weight > 0),
    used_bytes double precision not null default 0 check (used_bytes >= 0),
    used_at timestamptz not null,
    primary key (tenant, owner)
);
create index share_of_tenant on rs_order.share (tenant) where owner = '';

create table rs_order.role_weight (
    tenant text not null,
    role text not null,
    weight double precision not null check (weight > 0),
    primary key (tenant, role)
);

create function rs_order.decayed(bytes double precision, as_of timestamptz, at timestamptz, half_life double precision)
returns double precision language sql stable
return bytes * power(2, - least(100, greatest(0, extract(epoch from at - as_of)::double precision / half_life)));

create function rs_order.use_level(
    bytes double precision, as_of timestamptz, weight double precision, half_life double precision)
returns double precision language sql stable
return case
    when bytes >= 1 then
        (ln(bytes) - ln(coalesce(weight, 1))) / ln(2::double precision)
        + extract(epoch from as_of)::double precision / half_life
    else '-infinity' end;
