-- name: write
-- Say how this process is, and forget those that were silent for too long. $1 id, $2 name, $3 role, $4 version, $5 when it
-- started, $6 state, $7 the longest silence.
with silent as (
    delete from rs_order.instance where seen_at < clock_timestamp() - $7::interval and id <> $1
)
insert into rs_order.instance (id, name, role, version, started_at, state) values ($1, $2, $3, $4, $5, $6)
on conflict (id) do update set seen_at = clock_timestamp(), state = excluded.state

-- name: remove
-- $1 id.
delete from rs_order.instance where id = $1

-- name: all
select id, name, role, version, started_at, state, seen_at,
       extract(epoch from clock_timestamp() - seen_at)::double precision as silent_seconds
from rs_order.instance order by name, started_at, id
