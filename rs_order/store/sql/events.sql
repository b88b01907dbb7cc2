-- name: lock_log
-- Let one process at a time number events. It is sent together with the begin of the transaction.
select position from event_log for update

-- name: unnumbered
-- The last position, and the oldest events without one; one row of nulls if there is none. It is a statement of its
-- own, so that it sees what the last holder of the lock has numbered. $1 limit.
select log.position as last, event.*
from event_log log
left join lateral (
    select id, event_id, order_id, ordinal, type, data, created_at
    from event where position is null order by id limit $1
) as event on true
order by event.id

-- name: number
-- Give events their positions and what readers get. $1 ids, $2 positions, $3 bodies.
with numbered as (
update event set position = given.position, body = given.body, data = null
from unnest($1::bigint[], $2::bigint[], $3::text[]) as given (id, position, body)
where event.id = given.id
)
update event_log set position = $2[cardinality($2)]

-- name: state
-- How far the log is numbered and purged, and whether events wait too long for their positions. $1 before: written
-- earlier means too long.
select position, purged, exists (select from event where position is null and created_at < $1) as overdue
from event_log

-- name: page
-- The next events of all owners. With a filter of types, $4 are looked at. In each row: the last position of the log,
-- the last that was purged, and up to where was looked; null: to the end. One row without an event if there is none.
-- $1 after, $2 types (null: all), $3 limit, $4 the most that are looked at.
with looked as materialized (
    select position, type, order_id, owner, body from event
    where position > $1 order by position limit $4
)
select log.position as last, log.purged, found.position, found.type, found.order_id, found.owner, found.body,
       (select case when count(*) = $4 then max(position) end from looked) as looked_to
from event_log log
left join (
    select * from looked where $2::text[] is null or type = any ($2) order by position limit $3
) as found on true
order by found.position

-- name: page_of_owner
-- The same for the events of an owner. $5 owner.
with looked as materialized (
    select position, type, order_id, owner, body from event
    where owner = $5 and position > $1 order by position limit $4
)
select log.position as last, log.purged, found.position, found.type, found.order_id, found.owner, found.body,
       (select case when count(*) = $4 then max(position) end from looked) as looked_to
from event_log log
left join (
    select * from looked where $2::text[] is null or type = any ($2) order by position limit $3
) as found on true
order by found.position

-- name: page_of_order
-- The same for the events of an order, of the owner only if there is one. $5 owner or null, $6 order id.
with looked as materialized (
    select position, type, order_id, owner, body from event
    where order_id = $6 and position > $1 and ($5::text is null or owner = $5) order by ordinal limit $4
)
select log.position as last, log.purged, found.position, found.type, found.order_id, found.owner, found.body,
       (select case when count(*) = $4 then max(position) end from looked) as looked_to
from event_log log
left join (
    select * from looked where $2::text[] is null or type = any ($2) order by position limit $3
) as found on true
order by found.position

-- name: purge
-- Delete the oldest events of the log with their deliveries, of those written before $1, at most $2. Return their
-- number.
with deleted as (
    delete from event
    where id = any (array(
        select id from (
            select id, created_at from event where position is not null order by position limit $2
        ) as oldest
        where created_at < $1
    ))
    returning position
), deliveries as (
    delete from delivery where position = any (array(select position from deleted))
), noted as (
    update event_log set purged = greatest(purged, (select max(position) from deleted))
    where exists (select from deleted)
)
select count(*) from deleted
