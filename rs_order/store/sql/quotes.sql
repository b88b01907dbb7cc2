-- name: lock
-- Let no other quote of the tenant begin. $1 schema.
select pg_advisory_xact_lock(hashtextextended($1, 3))

-- name: limits
-- How many quotes the owner began since $2, and the first of them; and how many of the tenant are at work. $1 owner.
select (select count(*) from quote where owner = $1 and created_at > $2) as of_owner,
       (select min(created_at) from quote where owner = $1 and created_at > $2) as first_at,
       (select count(*) from quote where state = 'at-work' and created_at > $2) as at_work

-- name: begin
-- $1 owner, $2 role, $3 now, $4 request (null: the basket).
insert into quote (owner, role, created_at, updated_at, request) values ($1, $2, $3, $3, $4)
returning *

-- name: find
-- $1 id.
select * from quote where id = $1

-- name: save
-- Write a slice, unless another one was faster: then no row. $1 id, $2 slices done before, $3 now, $4 state,
-- $5 selections, $6 tallies, $7 attempts, $8 unavailable since, $9 document, $10 failure.
update quote
set slice = slice + 1, updated_at = $3, state = $4, selections = $5, tallies = $6, attempts = $7,
    unavailable_since = $8, document = $9, failure = $10
where id = $1 and slice = $2 and state = 'at-work'
returning id

-- name: forget
-- Delete a quote that nobody has heard of. $1 id.
delete from quote where id = $1 and state = 'at-work'

-- name: awaited
-- The checksums among these that storage was asked for and has not settled, for orders that run. $1 checksums.
select distinct file.checksum
from data_file file
join sub_order on sub_order.id = file.sub_order_id
where file.checksum = any ($1) and file.state = 'PENDING' and sub_order.state = 'RUNNING'

-- name: situation
-- What keeps an owner's next sub-orders waiting. $1 owner, $2 tenant.
select slots.*, queue.bytes as queued_bytes,
       exists (select from rs_order.hold
               where tenant = $2 and order_id is null and (hold.owner is null or hold.owner = $1)) as held,
       exists (select from rs_order.tenant where name = $2 and (maintenance or not active)) as maintenance
from (
    select count(*) as taken, count(*) filter (where state = 'WAITING') as waiting
    from sub_order
    where owner = $1 and kind <> 'EXTERNAL'
      and (state = 'RUNNING' or (state = 'WAITING' and not quota_exceeded))
) slots
cross join (
    select coalesce(sum(pending_bytes), 0)::bigint as bytes
    from sub_order where owner = $1 and state = 'READY' and asks_storage
) queue

-- name: stalled
-- Quotes at work that no slice was done of since $1. Those begun before $4 don't become ready any more. $2 after this id,
-- $3 limit.
select id, slice from quote
where state = 'at-work' and updated_at < $1 and created_at > $4 and id > $2
order by id limit $3

-- name: purge
-- $1 begun before, $2 limit.
delete from quote where id = any (array(
    select id from quote where created_at < $1 order by created_at limit $2
))
