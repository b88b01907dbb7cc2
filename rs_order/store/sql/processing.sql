-- name: known_inputs
-- The files among these that the dataset task has already. $1 dataset task, $2 identities.
select identity from process_input where dataset_task_id = $1 and identity = any ($2)

-- name: add_inputs
-- $1 order, $2 dataset task, then one array per column.
insert into process_input (order_id, dataset_task_id, sub_order_id, identity, product_urn, product_id,
    product_version, data_type, key, name, url, external, online, size, checksum, checksum_algorithm,
    mime_type, state, reason)
select $1, $2, * from unnest($3::bigint[], $4::uuid[], $5::text[], $6::text[], $7::integer[], $8::text[],
    $9::text[], $10::text[], $11::text[], $12::boolean[], $13::boolean[], $14::bigint[], $15::text[],
    $16::text[], $17::text[], $18::text[], $19::text[])

-- name: inputs
-- The inputs of a sub-order. $1 sub-order.
select product_urn, product_id, product_version, data_type, key, name, url, external, online, size,
       checksum, checksum_algorithm, mime_type, state, reason
from process_input where sub_order_id = $1
order by id

-- name: settle_inputs
-- Apply storage events to inputs that storage was asked for. "Unavailable" wins. The orders are locked.
-- Storage was asked for a READY sub-order before its order was paused; its process starts when the order is
-- resumed. Returns the RUNNING sub-orders that changed. $1 orders, $2 available checksums, $3 unavailable
-- checksums, $4 their reasons, $5 and $6 unavailable checksums and the sub-orders that they concern; those that
-- aren't in $5 concern all.
with concerned as (
    select checksum, array_agg(sub_order_id) as sub_orders
    from unnest($5::text[], $6::bigint[]) as given (checksum, sub_order_id) group by checksum
), event as (
    select checksum, is_available, is_unavailable, reason, sub_orders
    from (select checksum, true from unnest($2::text[]) as given (checksum)) as available (checksum, is_available)
    full join (select checksum, true, reason from unnest($3::text[], $4::text[]) as given (checksum, reason))
        as unavailable (checksum, is_unavailable, reason) using (checksum)
    left join concerned using (checksum)
), target as (
    select input.id, input.state as before, event.reason, sub_order.state as sub_order_state,
        case when is_unavailable and (sub_orders is null or input.sub_order_id = any (sub_orders)) then 'ERROR'
             when is_available then 'AVAILABLE'
             else input.state end as after
    from process_input input
    join event on event.checksum = input.checksum
    join sub_order on sub_order.id = input.sub_order_id
    where input.order_id = any ($1) and input.state <> 'ERROR' and not input.external
      and (sub_order.state = 'RUNNING' or (sub_order.state = 'READY' and sub_order.asks > 0))
), moved as (
    update process_input input
    set state = target.after, reason = case when target.after = 'ERROR' then target.reason end
    from target
    where input.id = target.id and target.before <> target.after
    returning input.sub_order_id, target.sub_order_state
)
select distinct sub_order_id from moved where sub_order_state = 'RUNNING'

-- name: without_pending_inputs
-- The sub-orders among these that have no pending input. $1 sub-orders.
select id from unnest($1::bigint[]) as changed (id)
where not exists (select from process_input where sub_order_id = changed.id and state = 'PENDING')
order by id

-- name: count_pending_inputs
-- Sub-orders with the number and the bytes of their inputs that storage still has to settle. $1 sub-orders.
select sub_order_id, count(*) as inputs, coalesce(sum(size), 0)::bigint as bytes
from process_input
where sub_order_id = any ($1) and state = 'PENDING'
group by sub_order_id

-- name: give_up_inputs
-- $1 sub-order, $2 reason.
update process_input set state = 'ERROR', reason = $2 where sub_order_id = $1 and state = 'PENDING'

-- name: delete_used_inputs
-- $1 sub-order.
delete from process_input where sub_order_id = $1 and state <> 'ERROR'

-- name: delete_inputs
-- See files.delete_slice for the form. $1 order, $2 limit.
delete from process_input
where id = any (array(
    select id from process_input
    where (order_id, id) > ($1, 0) and order_id <= $1
    order by order_id, id limit $2
))

-- name: plan
-- $1 order, $2 sub-orders, $3 correlation ids.
insert into process_batch (order_id, sub_order_id, correlation_id)
select $1, * from unnest($2::bigint[], $3::text[])

-- name: work
-- $1 sub-order.
select batch.order_id, batch.sub_order_id, batch.correlation_id, batch.batch_id, batch.attempts,
       batch.unavailable_since, task.dataset_urn, task.process_id, task.process_parameters, task.process_info
from process_batch batch
join sub_order on sub_order.id = batch.sub_order_id
join dataset_task task on task.id = sub_order.dataset_task_id
where batch.sub_order_id = $1

-- name: of_correlation_id
-- $1 correlation id.
select batch.order_id, batch.sub_order_id, batch.correlation_id, batch.batch_id, batch.attempts,
       batch.unavailable_since, task.dataset_urn, task.process_id, task.process_parameters, task.process_info
from process_batch batch
join sub_order on sub_order.id = batch.sub_order_id
join dataset_task task on task.id = sub_order.dataset_task_id
where batch.correlation_id = $1

-- name: save_batch_id
-- $1 sub-order, $2 the batch's id.
update process_batch set batch_id = $2 where sub_order_id = $1

-- name: note_unavailable
-- $1 sub-order, $2 attempts, $3 since.
update process_batch set attempts = $2, unavailable_since = $3 where sub_order_id = $1

-- name: reset_attempts
-- $1 order id.
update process_batch set attempts = 0, unavailable_since = null
from sub_order
where sub_order.id = process_batch.sub_order_id and sub_order.order_id = $1 and unavailable_since is not null

-- name: awaited_outputs
-- The outputs that a result can still change. $1 sub-order.
select id, output_key, product_urn from data_file
where sub_order_id = $1 and output_key is not null
  and (state = 'PENDING' or (state = 'PROCESSING_ERROR' and reason_code = 'process-silent'))
order by id

-- name: settle_outputs
-- Outputs become available with their files, or fail. Outputs that are settled for good don't change. The
-- order is locked. Sizes change with the states, hence two sums. $1 sub-order, then one array per column:
-- available outputs ($2 ids, $3 urls, $4 names, $5 sizes, $6 checksums, $7 algorithms) and failed ones ($8 ids,
-- $9 reasons).
with result as (
    select id, 'AVAILABLE' as state, url, name, size, checksum, algorithm, null as reason
    from unnest($2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[])
        as made (id, url, name, size, checksum, algorithm)
    union all
    select id, 'PROCESSING_ERROR', null, null, null, null, null, reason
    from unnest($8::bigint[], $9::text[]) as failed (id, reason)
), target as (
    select file.id, file.state as before, coalesce(file.size, 0) as bytes_before, result.state as after,
           result.url, result.name, result.size, result.checksum, result.algorithm, result.reason
    from data_file file
    join result on result.id = file.id
    where file.sub_order_id = $1 and file.output_key is not null
      and (file.state = 'PENDING'
           or (file.state = 'PROCESSING_ERROR' and file.reason_code = 'process-silent'))
    order by file.id
    for update of file
), moved as (
    update data_file file
    set state = target.after, reason = target.reason,
        reason_code = case when target.after = 'PROCESSING_ERROR' then 'process-failed' end,
        url = coalesce(target.url, file.url), name = coalesce(target.name, file.name),
        size = case when target.after = 'AVAILABLE' then target.size else file.size end,
        checksum = target.checksum, checksum_algorithm = target.algorithm
    from target
    where file.id = target.id
    returning file.order_id, file.sub_order_id, target.before, target.after, target.bytes_before,
              coalesce(file.size, 0) as bytes_after
)
select order_id, sub_order_id, before, after, count(*) as files, sum(bytes_before)::bigint as bytes,
       sum(bytes_after)::bigint as bytes_after
from moved where before <> after group by order_id, sub_order_id, before, after

-- name: give_up_outputs
-- Give up outputs that no result came for. A late result still counts. $1 sub-order, $2 reason.
with moved as (
    update data_file set state = 'PROCESSING_ERROR', reason_code = 'process-silent', reason = $2
    where sub_order_id = $1 and state = 'PENDING' and output_key is not null
    returning order_id, sub_order_id, coalesce(size, 0) as size
)
select order_id, sub_order_id, 'PENDING' as before, 'PROCESSING_ERROR' as after, count(*) as files,
       sum(size)::bigint as bytes
from moved group by order_id, sub_order_id

-- name: downloaded_urls
-- The URLs of the files among these that a process made and that were downloaded. $1 order, $2 files.
select url from data_file
where order_id = $1 and id = any ($2) and output_key is not null and state = 'DOWNLOADED'
order by id

-- name: detach
-- Remove a process from dataset selections of baskets, also of orders that are complete (B11). An order under
-- completion keeps its process. $1 process, $2 datasets that keep it (null: none), $3 limit.
with losing as (
    select selection.id, selection.basket_id
    from dataset_selection selection
    join basket on basket.id = selection.basket_id
    where selection.process_id = $1
      and ($2::text[] is null or selection.dataset_urn <> all ($2))
      and not exists (select from completion where completion.order_id = basket.order_id)
    order by basket.id, selection.id
    limit $3
    for update of basket, selection
), touched as (
    update basket set version = version + 1 where id in (select basket_id from losing)
)
update dataset_selection selection
set process_id = null, process_parameters = null
from losing where selection.id = losing.id
