-- name: all
select name, host from rs_order.tenant where active order by name

-- name: add
-- $1 name, $2 host (null: keep).
insert into rs_order.tenant (name, host) values ($1, $2)
on conflict (name) do update set active = true, host = coalesce(excluded.host, tenant.host)

-- name: keep_host
-- $1 name, $2 host.
update rs_order.tenant set host = $2 where name = $1 and host is distinct from $2

-- name: begin_round
-- Count a periodic round as done, if it is the next one. $1 name, $2 number.
insert into periodic_round (name, round) values ($1, $2)
on conflict (name) do update set round = $2 where periodic_round.round = $2 - 1
returning round
