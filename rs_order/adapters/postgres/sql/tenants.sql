-- name: all
select name, host from rs_order.tenant where active order by name

-- name: add
-- $1 name, $2 host (null: keep).
insert into rs_order.tenant (name, host) values ($1, $2)
on conflict (name) do update set active = true, host = coalesce(excluded.host, tenant.host)

-- name: keep_host
-- $1 name, $2 host.
update rs_order.tenant set host = $2 where name = $1 and host is distinct from $2

-- name: settings
select name, value from setting

-- name: begin_round
-- Count a periodic round as done, if it is the next one. Looks first, so that nobody waits for a lock to
-- learn that it was done. $1 name, $2 number, $3 the schedule the following round is planned by, if any.
insert into periodic_round (name, round, schedule)
select $1, $2, $3 where not exists (select from periodic_round where name = $1 and round >= $2)
on conflict (name) do update set round = $2, schedule = $3 where periodic_round.round = $2 - 1
returning round

-- name: reschedule_round
-- Rounds that were planned by another schedule: the round that is planned is called off by counting it as
-- done. The number that is done now, if so. $1 name, $2 schedule.
update periodic_round set round = round + 1, schedule = $2
where name = $1 and schedule is distinct from $2
returning round
