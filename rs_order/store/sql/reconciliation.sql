-- Each check is one statement, so that it sees one state: every change of files commits with its counters.

-- name: check_orders
-- Orders by id, with what is wrong with each. $1 after this id, $2 limit, $3 deleted or expired before.
with page as (
    select *, sub_orders = 0 and pending_files + available_files + downloaded_files
        + download_error_files + error_files + processing_error_files = 0
            and not exists (select from completion where order_id = orders.id) as empty,
        status in ('DELETED', 'EXPIRED') as inactive
    from orders where id > $1 order by id limit $2
)
select page.id,
    not page.inactive and not page.empty and (
        (page.pending_files, page.pending_bytes, page.available_files, page.available_bytes,
         page.downloaded_files, page.downloaded_bytes, page.download_error_files, page.download_error_bytes,
         page.error_files, page.error_bytes, page.processing_error_files, page.processing_error_bytes,
         page.sub_orders, page.waiting_sub_orders)
        is distinct from
        (fact.pending_files, fact.pending_bytes, fact.available_files, fact.available_bytes,
         fact.downloaded_files, fact.downloaded_bytes, fact.download_error_files, fact.download_error_bytes,
         fact.error_files, fact.error_bytes, fact.processing_error_files, fact.processing_error_bytes,
         fact.sub_orders, fact.waiting)
        or (page.status in ('RUNNING', 'PAUSED') and page.pending_files = 0
            and not exists (select from completion where order_id = page.id)
            and not exists (select from retry where order_id = page.id))
        or exists (
            select from dataset_task task
            where task.order_id = page.id and task.process_id is null
              and (task.files_count, task.files_bytes) is distinct from (
                  select row(coalesce(sum(pending_files + available_files + downloaded_files
                      + download_error_files + error_files + processing_error_files), 0)::bigint,
                             coalesce(sum(pending_bytes + available_bytes + downloaded_bytes
                                 + download_error_bytes + error_bytes + processing_error_bytes), 0)::bigint)
                  from sub_order where order_id = page.id and dataset_task_id = task.id))
    ) as miscounted,
    (page.inactive or page.empty) and page.status_at < $3 and (
        exists (select from data_file where order_id = page.id)
        or exists (select from process_input where order_id = page.id)
        or exists (select from sub_order where order_id = page.id)
    ) as left_behind
from page
cross join lateral (
    select count(*) as sub_orders, count(*) filter (where state = 'WAITING') as waiting,
        coalesce(sum(pending_files), 0)::bigint as pending_files,
        coalesce(sum(pending_bytes), 0)::bigint as pending_bytes,
        coalesce(sum(available_files), 0)::bigint as available_files,
        coalesce(sum(available_bytes), 0)::bigint as available_bytes,
        coalesce(sum(downloaded_files), 0)::bigint as downloaded_files,
        coalesce(sum(downloaded_bytes), 0)::bigint as downloaded_bytes,
        coalesce(sum(download_error_files), 0)::bigint as download_error_files,
        coalesce(sum(download_error_bytes), 0)::bigint as download_error_bytes,
        coalesce(sum(error_files), 0)::bigint as error_files,
        coalesce(sum(error_bytes), 0)::bigint as error_bytes,
        coalesce(sum(processing_error_files), 0)::bigint as processing_error_files,
        coalesce(sum(processing_error_bytes), 0)::bigint as processing_error_bytes
    from sub_order where order_id = page.id and not page.inactive and not page.empty
) as fact
order by page.id

-- name: check_sub_orders
-- Sub-orders by id, and whether their counters differ from their files. Sub-orders that wait for deletion
-- aren't counted. $1 after this id, $2 limit, $3 the page ends when its sub-orders have so many files.
with page as (
    select *, coalesce(sum(pending_files + available_files + downloaded_files
        + download_error_files + error_files + processing_error_files)
            over (order by id rows between unbounded preceding and 1 preceding), 0) as files_before
    from sub_order where id > $1 order by id limit $2
)
select page.id, page.order_id,
    orders.id is not null
        and (page.pending_files, page.pending_bytes, page.available_files, page.available_bytes,
             page.downloaded_files, page.downloaded_bytes, page.download_error_files, page.download_error_bytes,
             page.error_files, page.error_bytes, page.processing_error_files, page.processing_error_bytes)
            is distinct from
            (fact.pending_files, fact.pending_bytes, fact.available_files, fact.available_bytes,
             fact.downloaded_files, fact.downloaded_bytes, fact.download_error_files, fact.download_error_bytes,
             fact.error_files, fact.error_bytes, fact.processing_error_files, fact.processing_error_bytes)
        as miscounted
from page
left join orders on orders.id = page.order_id and orders.status not in ('DELETED', 'EXPIRED')
    and orders.sub_orders > 0
cross join lateral (
    select count(*) filter (where state = 'PENDING') as pending_files,
           coalesce(sum(size) filter (where state = 'PENDING'), 0)::bigint as pending_bytes,
           count(*) filter (where state = 'AVAILABLE') as available_files,
           coalesce(sum(size) filter (where state = 'AVAILABLE'), 0)::bigint as available_bytes,
           count(*) filter (where state = 'DOWNLOADED') as downloaded_files,
           coalesce(sum(size) filter (where state = 'DOWNLOADED'), 0)::bigint as downloaded_bytes,
           count(*) filter (where state = 'DOWNLOAD_ERROR') as download_error_files,
           coalesce(sum(size) filter (where state = 'DOWNLOAD_ERROR'), 0)::bigint as download_error_bytes,
           count(*) filter (where state = 'ERROR') as error_files,
           coalesce(sum(size) filter (where state = 'ERROR'), 0)::bigint as error_bytes,
           count(*) filter (where state = 'PROCESSING_ERROR') as processing_error_files,
           coalesce(sum(size) filter (where state = 'PROCESSING_ERROR'), 0)::bigint as processing_error_bytes
    from data_file where sub_order_id = page.id
) as fact
where page.files_before < $3
order by page.id

-- name: check_removed
-- Orders that have files, inputs or sub-orders, by id, and whether each was removed: index probes only.
-- $1 after this id, $2 limit.
with recursive holding (order_id, number) as (
    select $1::bigint, 0
    union all
    select least(
        (select order_id from data_file where order_id > holding.order_id order by order_id limit 1),
        (select order_id from process_input where order_id > holding.order_id order by order_id limit 1),
        (select order_id from sub_order where order_id > holding.order_id order by order_id limit 1)
    ), number + 1
    from holding where order_id is not null and number < $2
)
select order_id, not exists (select from orders where orders.id = holding.order_id) as removed
from holding where number > 0 and order_id is not null
order by order_id

-- name: count_files
-- $1 sub-orders.
select sub_order.id,
    counted.pending_files, counted.pending_bytes, counted.available_files, counted.available_bytes,
    counted.downloaded_files, counted.downloaded_bytes,
    counted.download_error_files, counted.download_error_bytes,
    counted.error_files, counted.error_bytes, counted.processing_error_files, counted.processing_error_bytes
from unnest($1::bigint[]) as sub_order (id)
cross join lateral (
    select count(*) filter (where state = 'PENDING') as pending_files,
           coalesce(sum(size) filter (where state = 'PENDING'), 0)::bigint as pending_bytes,
           count(*) filter (where state = 'AVAILABLE') as available_files,
           coalesce(sum(size) filter (where state = 'AVAILABLE'), 0)::bigint as available_bytes,
           count(*) filter (where state = 'DOWNLOADED') as downloaded_files,
           coalesce(sum(size) filter (where state = 'DOWNLOADED'), 0)::bigint as downloaded_bytes,
           count(*) filter (where state = 'DOWNLOAD_ERROR') as download_error_files,
           coalesce(sum(size) filter (where state = 'DOWNLOAD_ERROR'), 0)::bigint as download_error_bytes,
           count(*) filter (where state = 'ERROR') as error_files,
           coalesce(sum(size) filter (where state = 'ERROR'), 0)::bigint as error_bytes,
           count(*) filter (where state = 'PROCESSING_ERROR') as processing_error_files,
           coalesce(sum(size) filter (where state = 'PROCESSING_ERROR'), 0)::bigint as processing_error_bytes
    from data_file where sub_order_id = sub_order.id
) as counted

-- name: add_up
-- $1 order.
select count(*) as sub_orders, count(*) filter (where state = 'WAITING') as waiting,
    coalesce(sum(pending_files), 0)::bigint as pending_files,
    coalesce(sum(pending_bytes), 0)::bigint as pending_bytes,
    coalesce(sum(available_files), 0)::bigint as available_files,
    coalesce(sum(available_bytes), 0)::bigint as available_bytes,
    coalesce(sum(downloaded_files), 0)::bigint as downloaded_files,
    coalesce(sum(downloaded_bytes), 0)::bigint as downloaded_bytes,
    coalesce(sum(download_error_files), 0)::bigint as download_error_files,
    coalesce(sum(download_error_bytes), 0)::bigint as download_error_bytes,
    coalesce(sum(error_files), 0)::bigint as error_files,
    coalesce(sum(error_bytes), 0)::bigint as error_bytes,
    coalesce(sum(processing_error_files), 0)::bigint as processing_error_files,
    coalesce(sum(processing_error_bytes), 0)::bigint as processing_error_bytes
from sub_order where order_id = $1

-- name: repair_tasks
-- $1 order.
with fact as (
    select task.id, task.files_count as files_before, task.files_bytes as bytes_before, counted.*
    from dataset_task task
    cross join lateral (
        select coalesce(sum(pending_files + available_files + downloaded_files
            + download_error_files + error_files + processing_error_files), 0)::bigint as files,
               coalesce(sum(pending_bytes + available_bytes + downloaded_bytes
                   + download_error_bytes + error_bytes + processing_error_bytes), 0)::bigint as bytes
        from sub_order where order_id = task.order_id and dataset_task_id = task.id
    ) as counted
    where task.order_id = $1 and task.process_id is null
)
update dataset_task task set files_count = fact.files, files_bytes = fact.bytes
from fact
where task.id = fact.id and (task.files_count, task.files_bytes) is distinct from (fact.files, fact.bytes)
returning task.id, files_before, bytes_before, files, bytes

-- name: release_capacity
-- $1 tenant.
delete from rs_order.running_sub_order used
where tenant = $1 and not exists (
    select from sub_order where id = used.sub_order_id and state = 'RUNNING')
returning sub_order_id

-- name: wrong_claims
-- Claims of a tenant and its owners that differ from what they count, and the claims of the service, if they aren't those
-- of its tenants. There is none while nothing is counted. $1 tenant.
with claim as (
    select tenant, owner, rank,
        jsonb_build_array(sub_orders, files, bytes, promised, promised_files, promised_bytes, waiting) as numbers
    from rs_order.capacity_claim where tenant in ($1, '')
), counted as (
    select tenant, owner, rank,
        jsonb_build_array(sub_orders, files, bytes, promised, promised_files, promised_bytes, waiting) as numbers
    from rs_order.counted_claim where tenant = $1
    union all
    select '', '', null, jsonb_build_array(
        coalesce(sum(sub_orders), 0), coalesce(sum(files), 0), coalesce(sum(bytes), 0), coalesce(sum(promised), 0),
        coalesce(sum(promised_files), 0), coalesce(sum(promised_bytes), 0), coalesce(sum(waiting), 0))
    from rs_order.capacity_claim where owner = '' and tenant <> ''
)
select case when tenant = '' then 'the service' when owner = '' then 'the tenant' else owner end as owner,
    claim.numbers as stored, counted.numbers as counted
from claim
full join counted using (tenant, owner)
where rs_order.is_counted() and (coalesce(claim.numbers, '[0, 0, 0, 0, 0, 0, 0]'), claim.rank)
    is distinct from (coalesce(counted.numbers, '[0, 0, 0, 0, 0, 0, 0]'), counted.rank)

-- name: overdue_runs
-- $1 before.
select name, run from periodic_run where next_at < $1 order by name

-- name: stalled_completions
-- $1 before, $2 after this order, $3 limit.
select completion.order_id, selection, page
from completion
join orders on orders.id = completion.order_id
where completion.order_id > $2 and orders.status in ('PENDING', 'RUNNING')
  and greatest(orders.status_at, completion.unavailable_since) < $1
order by completion.order_id limit $3

-- name: stalled_retries
-- $1 before, $2 after this order, $3 limit.
select retry.*
from retry
join orders on orders.id = retry.order_id
where retry.order_id > $2 and orders.status = 'RUNNING' and orders.status_at < $1
order by retry.order_id limit $3

-- name: stalled_owners
-- Owners of ready sub-orders, one index probe each, and the next one that may start: storage isn't asked for it, or
-- its owner has a free slot, doesn't wait for capacity, and what storage is asked for fits the limits of each user.
-- Those of paused orders, of orders under retry, and what is held, wait.
-- $1 after this owner, $2 limit, $3 slots of each (0: no limit), $4 tenant.
with recursive ready (owner, number) as (
    select $1::text, 0
    union all
    select (
        select next.owner from sub_order next
        where next.state = 'READY' and next.owner > ready.owner
        order by next.owner limit 1
    ), number + 1
    from ready where owner is not null and number < $2
)
select ready.owner, next.id as next
from ready
left join lateral (
    select sub_order.id from sub_order
    join orders on orders.id = sub_order.order_id
    where sub_order.owner = ready.owner and sub_order.state = 'READY' and orders.status = 'RUNNING'
      and not exists (select from retry where retry.order_id = orders.id)
      and not exists (
          select from rs_order.hold
          where hold.tenant = $4 and (hold.order_id is null or hold.order_id = orders.id)
            and (hold.owner is null or hold.owner = ready.owner))
      and (not sub_order.asks_storage
           or (($3 = 0 or $3 > (
                    select count(*) from sub_order in_slot
                    where in_slot.owner = ready.owner and in_slot.kind <> 'EXTERNAL'
                      and (in_slot.state = 'RUNNING'
                           or (in_slot.state = 'WAITING' and not in_slot.quota_exceeded))))
               and not exists (
                    select from rs_order.waiting_user waiting
                    where waiting.tenant = $4 and waiting.owner = ready.owner and woken_at is null)
               and not rs_order.user_is_full(
                    $4, ready.owner,
                    case when sub_order.kind <> 'PROCESSING' then sub_order.pending_files else (
                        select count(*) from process_input input
                        where input.sub_order_id = sub_order.id and input.state = 'PENDING') end,
                    case when sub_order.kind <> 'PROCESSING' then sub_order.pending_bytes else (
                        select coalesce(sum(size), 0) from process_input input
                        where input.sub_order_id = sub_order.id and input.state = 'PENDING')::bigint end)))
    order by sub_order.asks_storage, sub_order.rank limit 1
) as next on true
where number > 0 and ready.owner is not null
order by ready.owner

-- name: overdue_sub_orders
-- Sub-orders whose step is overdue. $1 before, $2 after this sub-order, $3 limit, $4 true: those whose executions
-- have to be requested; false: the others.
select sub_order.id, sub_order.order_id, sub_order.state, sub_order.asks
from sub_order
join orders on orders.id = sub_order.order_id and orders.status not in ('DELETED', 'EXPIRED')
where sub_order.state in ('RUNNING', 'PROCESSING') and sub_order.due_at < $1 and sub_order.id > $2
  and (sub_order.state = 'PROCESSING' and not exists (
      select from process_batch batch
      where batch.sub_order_id = sub_order.id and batch.batch_id is not null)) = $4
order by sub_order.id limit $3

-- name: overdue_orders
-- $1 before, $2 after this order, $3 limit.
select id from orders
where expires_at < $1 and id > $2
  and (status in ('PENDING', 'RUNNING', 'PAUSED') or available_at is not null)
  and status in ('PENDING', 'RUNNING', 'PAUSED', 'DONE', 'DONE_WITH_WARNING')
order by id limit $3

-- name: stalled_requests
-- $1 before, $2 after this request, $3 limit.
select id from order_request
where state = 'RECEIVED' and id > $2 and received_at < $1
order by id limit $3

-- name: stalled_mails
-- $1 before, $2 after this mail, $3 limit.
select id from mail
where id > $2 and coalesce(claimed_until, '-infinity') < $1
order by id limit $3

-- name: overdue_holds
-- Holds whose end has passed. $1 before, $2 after this id, $3 limit, $4 tenant.
select id from rs_order.hold where tenant = $4 and until < $1 and id > $2 order by id limit $3
