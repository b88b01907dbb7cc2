-- name: begun
select * from moving_in

-- name: is_used
-- True if the tenant has anything that an import could meet.
select exists (select from orders) or exists (select from order_request) or exists (select from basket)

-- name: may_raise_sequences
-- True if this role may set the next ids of the tenant; rights on data are not enough for that.
select bool_and(has_sequence_privilege(oid, 'UPDATE')) from pg_class
where relkind = 'S' and relnamespace = current_schema()::regnamespace

-- name: begin
-- $1 source, $2 now.
insert into moving_in (source, began_at) values ($1, $2)

-- name: sliced
update moving_in set sliced = true

-- name: slices
-- $1 kind. The tallies are left out.
select kind, number, first_id, last_id, files, bytes, tally is not null as copied
from moving_in_slice where kind = $1 order by number

-- name: lock_slice
-- A slice that isn't copied yet. $1 kind, $2 number.
select 1 from moving_in_slice where kind = $1 and number = $2 and tally is null for update

-- name: end_slice
-- $1 kind, $2 number, $3 tally.
update moving_in_slice set tally = $3 where kind = $1 and number = $2

-- name: tallies
-- $1 kind.
select tally from moving_in_slice where kind = $1 and tally is not null order by number

-- name: raise_sequence
-- The next id of a table is higher than this one. $1 table, $2 id.
select setval(sequence, greatest($2, (select coalesce(last_value, 0) from pg_sequences
    where format('%I.%I', schemaname, sequencename)::regclass = sequence)))
from (select pg_get_serial_sequence($1, 'id')::regclass as sequence) as named

-- name: count
-- Rows and bytes of every table that is copied, by status, state or ''.
select 'orders' as name, status as state, count(*) as rows, 0::bigint as bytes from orders group by status
union all
select 'dataset_tasks', '', count(*), 0 from dataset_task
union all
select 'sub_orders', '', count(*), 0 from sub_order
union all
select 'files', state, count(*), coalesce(sum(size), 0)::bigint from data_file group by state
union all
select 'baskets', '', count(*), 0 from basket
union all
select 'dataset_selections', '', count(*), 0 from dataset_selection
union all
select 'dated_selections', '', count(*), 0 from dated_selection

-- name: copied
-- Everything is copied. $1 now, $2 report.
update moving_in set copied_at = $1, report = $2, last_order_id = (select max(id) from orders)

-- name: ended
-- $1 now, $2 report.
update moving_in set ended_at = $1, report = $2

-- name: under_way
-- Orders that go on by a step, by id: one that is still created, one that expires, and one that nothing is pending of.
-- $1 after this id, $2 limit, $3 up to this id.
select id, expires_at, completion.order_id is not null as creating,
    status in ('RUNNING', 'PAUSED') and pending_files = 0 and completion.order_id is null as over,
    expires_at is not null and (status in ('PENDING', 'RUNNING', 'PAUSED')
        or (status in ('DONE', 'DONE_WITH_WARNING') and available_files > 0)) as expires
from orders
left join completion on completion.order_id = orders.id
where id > $1 and id <= $3
  and (status in ('PENDING', 'RUNNING', 'PAUSED')
       or (status in ('DONE', 'DONE_WITH_WARNING') and available_at is not null))
order by id limit $2

-- name: changed_since
-- Orders that were made or changed after the import, by id. An imported order has no event of its own yet, and
-- downloads renew available_at. $1 after this id, $2 limit.
select orders.id, owner, label, status, created_at, status_at,
    case when orders.id > moving_in.last_order_id then 'made' else 'changed' end as what
from moving_in, orders
where orders.id > $1 and ended_at is not null
  and (orders.id > last_order_id or status_at > copied_at or events > 0 or available_at > copied_at)
union all
select history.order_id, '', '', 'REMOVED', null, history.at, 'removed'
from moving_in, history
where history.order_id > $1 and ended_at is not null and sub_order_id is null and after = 'REMOVED'
  and history.at > copied_at
order by 1 limit $2
