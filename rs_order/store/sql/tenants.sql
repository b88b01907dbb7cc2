-- name: all
select name, host, active from rs_order.tenant order by name

-- name: add
-- Nothing when the platform said something newer. $1 name, $2 host (null: keep), $3 when the platform
-- said so (null: it didn't, an operator did).
insert into rs_order.tenant (name, host, said_at) values ($1, $2, $3)
on conflict (name) do update set
    active = true,
    host = coalesce(excluded.host, tenant.host),
    said_at = greatest(tenant.said_at, excluded.said_at)
where tenant.said_at is null or $3::timestamptz is null or tenant.said_at <= $3
returning name

-- name: deactivate
-- Nothing when the platform said something newer. One that nobody knows yet is noted, too: it may be about to
-- be connected. $1 name, $2 when it said so.
insert into rs_order.tenant (name, active, said_at) values ($1, false, $2)
on conflict (name) do update set active = false, said_at = excluded.said_at
where tenant.said_at is null or tenant.said_at <= excluded.said_at
returning name

-- name: keep_host
-- $1 name, $2 host.
update rs_order.tenant set host = $2 where name = $1 and host is distinct from $2

-- name: host
-- $1 name.
select host from rs_order.tenant where name = $1

-- name: begin_round
-- Count a periodic round as done, if it is the next one. Looks first, so that nobody waits for a lock to
-- learn that it was done. $1 name, $2 number, $3 the schedule the following round is planned by, if any,
-- $4 when that falls due.
insert into periodic_round (name, round, schedule, next_at)
select $1, $2, $3, $4 where not exists (select from periodic_round where name = $1 and round >= $2)
on conflict (name) do update set round = $2, schedule = $3, next_at = $4 where periodic_round.round = $2 - 1
returning round

-- name: reschedule_round
-- Rounds that were planned by another schedule: the round that is planned is called off by counting it as
-- done. The number that is done now, if so. $1 name, $2 schedule, $3 when the following round falls due.
update periodic_round set round = round + 1, schedule = $2, next_at = $3
where name = $1 and schedule is distinct from $2
returning round
