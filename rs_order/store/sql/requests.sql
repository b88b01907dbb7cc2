-- name: record
-- Record order requests. Known ones don't change. $1 correlation ids, $2 fingerprints,
-- $3 bodies, $4 now. Returns every distinct request, known or new.
with incoming as (
    select distinct on (correlation_id, fingerprint) correlation_id, fingerprint, body, position
    from unnest($1::text[], $2::bytea[], $3::text[]) with ordinality
        as sent (correlation_id, fingerprint, body, position)
    order by correlation_id, fingerprint, position
), added as (
    insert into order_request (correlation_id, fingerprint, body, received_at)
    select correlation_id, fingerprint, body::jsonb, $4 from incoming order by position
    on conflict on constraint order_request_once do nothing
    returning *
)
select id, correlation_id, fingerprint, order_id, true as new
from added
union all
select known.id, known.correlation_id, known.fingerprint, known.order_id, false
from order_request known
join incoming using (correlation_id, fingerprint)

-- name: received
-- Requests that still wait for an answer. $1 ids, in a sub-select: the planner would look into the array, and plan each
-- execution anew.
select id, correlation_id, body, attempts, unavailable_since, received_at
from order_request
where id = any ((select $1::bigint[])::bigint[]) and state = 'RECEIVED'
order by id

-- name: lock_received
-- The same, locked, so that a request is answered once. $1 ids.
select id from order_request where id = any ($1) and state = 'RECEIVED' order by id for update

-- name: decide
-- Answer requests. $1 ids, $2 order ids (null: none), $3 state.
update order_request request
set state = $3, order_id = decision.order_id
from unnest($1::bigint[], $2::bigint[]) as decision (id, order_id)
where request.id = decision.id

-- name: note_unavailable
-- Count an attempt that failed because a service was unavailable. $1 ids, $2 since when, if not known yet.
update order_request
set attempts = attempts + 1, unavailable_since = coalesce(unavailable_since, $2)
where id = any ($1)

-- name: reopen
-- Requests that failed without an order wait again. $1 ids.
update order_request
set state = 'RECEIVED', attempts = 0, unavailable_since = null
where id = any ($1) and state = 'FAILED' and order_id is null
returning id

-- name: purge
-- Delete answered requests. $1 received before, $2 limit.
delete from order_request
where id in (
    select id from order_request
    where received_at < $1 and state <> 'RECEIVED'
    order by received_at
    limit $2
    for update skip locked  -- a replay reopens it at this moment
)
