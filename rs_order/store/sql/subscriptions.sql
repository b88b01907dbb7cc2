-- name: lock
-- Let no other subscription of the tenant begin. $1 schema.
select pg_advisory_xact_lock(hashtextextended($1, 4))

-- name: count
-- $1 owner.
select count(*) filter (where owner = $1) as of_owner, count(*) as of_tenant from subscription

-- name: add
-- It begins with the next event. $1 owner, $2 label, $3 scope, $4 order, $5 types, $6 now.
insert into subscription (owner, label, scope, order_id, types, position, created_at)
select $1, $2, $3, $4::bigint, $5::text[], position, $6::timestamptz from event_log
returning *

-- name: list
-- $1 owner (null: all).
select * from subscription where $1::text is null or owner = $1 order by created_at desc, id

-- name: find
-- $1 id.
select * from subscription where id = $1

-- name: change
-- $1 id, $2 label, $3 types.
update subscription set label = $2, types = $3 where id = $1
returning *

-- name: acknowledge
-- Move it forward; no row if the log doesn't reach so far. $1 id, $2 position.
update subscription set position = greatest(subscription.position, $2)
from event_log log
where subscription.id = $1 and log.position >= $2
returning subscription.*

-- name: remove
-- $1 id.
delete from subscription where id = $1
