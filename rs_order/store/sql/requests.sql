-- name: record
-- Record order requests; those already known are left as they are. $1 correlation ids, $2 fingerprints,
-- $3 bodies, $4 now. The answer holds every distinct request, known or new.
with incoming as (
    select distinct on (correlation_id, fingerprint) correlation_id, fingerprint, body, position
    from unnest($1::text[], $2::bytea[], $3::jsonb[]) with ordinality
        as sent (correlation_id, fingerprint, body, position)
    order by correlation_id, fingerprint, position
), added as (
    insert into order_request (correlation_id, fingerprint, body, received_at)
    select correlation_id, fingerprint, body, $4 from incoming order by position
    on conflict on constraint order_request_once do nothing
    returning *
)
select id, correlation_id, fingerprint, body, state, order_id, attempts, trouble_since, true as new
from added
union all
select known.id, known.correlation_id, known.fingerprint, known.body, known.state, known.order_id,
       known.attempts, known.trouble_since, false
from order_request known
join incoming using (correlation_id, fingerprint)

-- name: received
-- Requests that still wait for an answer. $1 ids.
select id, correlation_id, fingerprint, body, state, order_id, attempts, trouble_since, false as new
from order_request
where id = any ($1) and state = 'RECEIVED'
order by id

-- name: lock_received
-- The same, locked, so that an answer is given once. $1 ids.
select id from order_request where id = any ($1) and state = 'RECEIVED' order by id for update

-- name: decide
-- Answer requests. $1 ids, $2 order ids (null: none), $3 state.
update order_request request
set state = $3, order_id = decision.order_id
from unnest($1::bigint[], $2::bigint[]) as decision (id, order_id)
where request.id = decision.id

-- name: note_trouble
-- One more attempt in vain. $1 ids, $2 since when, unless it began earlier.
update order_request
set attempts = attempts + 1, trouble_since = coalesce(trouble_since, $2)
where id = any ($1)

-- name: reopen
-- Requests that failed without an order wait again. $1 ids.
update order_request
set state = 'RECEIVED', attempts = 0, trouble_since = null
where id = any ($1) and state = 'FAILED' and order_id is null
returning id

-- name: forget
-- Forget answered requests. $1 received before, $2 at most so many.
delete from order_request
where id in (
    select id from order_request
    where received_at < $1 and state <> 'RECEIVED'
    order by received_at
    limit $2
    for update skip locked  -- a replay is just reopening it
)
