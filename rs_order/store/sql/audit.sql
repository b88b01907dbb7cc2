-- name: record
insert into rs_order.audit
    (tenant, actor, role, door, action, object_kind, object_id, before, after, reason, correlation_id)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)

-- name: find
-- A page of entries, newest first; null is no condition. $1 tenant, $2 part of the actor, $3 action or its
-- beginning before the dot, $4 kind and $5 id of the object, $6 earliest (inclusive) and $7 latest (exclusive)
-- date, $8 id of the last entry of the page before, $9 limit.
select id, at, tenant, actor, role, door, action, object_kind, object_id, before, after, reason, correlation_id
from rs_order.audit
where ($1::text is null or tenant = $1)
  and ($2::text is null or strpos(actor, $2) > 0)
  and ($3::text is null or action = $3 or split_part(action, '.', 1) = $3)
  and ($4::text is null or object_kind = $4)
  and ($5::text is null or object_id = $5)
  and ($6::timestamptz is null or at >= $6)
  and ($7::timestamptz is null or at < $7)
  and ($8::bigint is null or (at, id) < (select at, id from rs_order.audit where id = $8))
order by at desc, id desc
limit $9

-- name: purge
-- Delete the oldest entries that are past their retention. $1 days, $2 most entries.
delete from rs_order.audit
where id in (
    select id from rs_order.audit
    where at < clock_timestamp() - make_interval(days => $1)
    order by at, id
    limit $2
    for update skip locked
)
