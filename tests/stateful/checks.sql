-- Check the invariants after a move of a sequence, and read what the next move can choose from. It is one
-- statement, so that it sees one state. $1 slots of a user (0: no limit), $2 capacity of the service
-- (0: no limit), $3 last line of the history that was checked, $4 now, $5 whether the expected steps must
-- exist (not before the reconciler has found lost ones), $6 the members of each type of event.
with step as materialized (
    select id, body::jsonb as body, due_at from rs_order.outbox where kind = 'STEP'
), response as materialized (
    select id, order_id, request_id, body::jsonb ->> 'status' as status,
        (body::jsonb ->> 'subOrderId')::bigint as sub_order_id
    from order_response where order_id is not null
), alive as materialized (
    select * from orders where status not in ('DELETED', 'EXPIRED')
), whole as materialized (
    -- without orders whose completion failed: their counters are reset before their files are deleted
    select * from alive
    where sub_orders > 0 or exists (select from completion where order_id = alive.id)
), taken as materialized (
    select owner, count(*) as slots, count(*) filter (where state = 'RUNNING') as running
    from sub_order
    where kind <> 'EXTERNAL' and (state = 'RUNNING' or (state = 'WAITING' and not quota_exceeded))
    group by owner
), counted as materialized (
    select sub_order_id, order_id,
        count(*) filter (where state = 'PENDING') as pending_files,
        coalesce(sum(size) filter (where state = 'PENDING'), 0) as pending_bytes,
        count(*) filter (where state = 'AVAILABLE') as available_files,
        coalesce(sum(size) filter (where state = 'AVAILABLE'), 0) as available_bytes,
        count(*) filter (where state = 'DOWNLOADED') as downloaded_files,
        coalesce(sum(size) filter (where state = 'DOWNLOADED'), 0) as downloaded_bytes,
        count(*) filter (where state = 'DOWNLOAD_ERROR') as download_error_files,
        coalesce(sum(size) filter (where state = 'DOWNLOAD_ERROR'), 0) as download_error_bytes,
        count(*) filter (where state = 'ERROR') as error_files,
        coalesce(sum(size) filter (where state = 'ERROR'), 0) as error_bytes,
        count(*) filter (where state = 'PROCESSING_ERROR') as processing_error_files,
        coalesce(sum(size) filter (where state = 'PROCESSING_ERROR'), 0) as processing_error_bytes
    from data_file group by sub_order_id, order_id
), final_responses as materialized (
    select order_id, count(*) as responses, max(id) as last_response
    from response where status in ('DONE', 'FAILED') group by order_id
), wrong (what, which) as (
    -- counters
    select 'a sub-order''s counters differ from its files', one.id
    from sub_order one
    join whole on whole.id = one.order_id
    left join counted on counted.sub_order_id = one.id
    where (one.pending_files, one.pending_bytes, one.available_files, one.available_bytes,
           one.downloaded_files, one.downloaded_bytes, one.download_error_files, one.download_error_bytes,
           one.error_files, one.error_bytes, one.processing_error_files, one.processing_error_bytes)
        is distinct from
          (coalesce(counted.pending_files, 0), coalesce(counted.pending_bytes, 0),
           coalesce(counted.available_files, 0), coalesce(counted.available_bytes, 0),
           coalesce(counted.downloaded_files, 0), coalesce(counted.downloaded_bytes, 0),
           coalesce(counted.download_error_files, 0), coalesce(counted.download_error_bytes, 0),
           coalesce(counted.error_files, 0), coalesce(counted.error_bytes, 0),
           coalesce(counted.processing_error_files, 0), coalesce(counted.processing_error_bytes, 0))
    union all
    select 'an order''s counters differ from its files', whole.id
    from whole
    cross join lateral (
        select coalesce(sum(pending_files), 0) as pending_files, coalesce(sum(pending_bytes), 0) as pending_bytes,
            coalesce(sum(available_files), 0) as available_files,
            coalesce(sum(available_bytes), 0) as available_bytes,
            coalesce(sum(downloaded_files), 0) as downloaded_files,
            coalesce(sum(downloaded_bytes), 0) as downloaded_bytes,
            coalesce(sum(download_error_files), 0) as download_error_files,
            coalesce(sum(download_error_bytes), 0) as download_error_bytes,
            coalesce(sum(error_files), 0) as error_files, coalesce(sum(error_bytes), 0) as error_bytes,
            coalesce(sum(processing_error_files), 0) as processing_error_files,
            coalesce(sum(processing_error_bytes), 0) as processing_error_bytes
        from counted where counted.order_id = whole.id
    ) as files
    where (whole.pending_files, whole.pending_bytes, whole.available_files, whole.available_bytes,
           whole.downloaded_files, whole.downloaded_bytes, whole.download_error_files,
           whole.download_error_bytes, whole.error_files, whole.error_bytes,
           whole.processing_error_files, whole.processing_error_bytes)
        is distinct from
          (files.pending_files, files.pending_bytes, files.available_files, files.available_bytes,
           files.downloaded_files, files.downloaded_bytes, files.download_error_files,
           files.download_error_bytes, files.error_files, files.error_bytes,
           files.processing_error_files, files.processing_error_bytes)
    union all
    select 'an order''s sub-orders are counted wrongly', whole.id
    from whole
    cross join lateral (
        select count(*) as sub_orders, count(*) filter (where state = 'WAITING') as waiting
        from sub_order where order_id = whole.id
    ) as below
    where (whole.sub_orders, whole.waiting_sub_orders) is distinct from (below.sub_orders, below.waiting)
    union all
    select 'a dataset task''s files are counted wrongly', task.id
    from dataset_task task
    join whole on whole.id = task.order_id
    where task.process_id is null and (task.files_count, task.files_bytes) is distinct from (
        select row(count(*), coalesce(sum(size), 0)::bigint) from data_file where dataset_task_id = task.id)
    union all
    -- statuses and states by their definition
    select 'an order without pending files hasn''t ended', alive.id
    from alive
    where status in ('RUNNING', 'PAUSED') and pending_files = 0
      and not exists (select from completion where order_id = alive.id)
      and not exists (select from retry where order_id = alive.id)
    union all
    select 'an order''s final status doesn''t follow from its files', id
    from alive
    where status in ('DONE', 'DONE_WITH_WARNING', 'FAILED')
      and (pending_files > 0
           or (status = 'DONE' and error_files + processing_error_files > 0)
           or (status = 'FAILED' and available_files + downloaded_files + download_error_files > 0))
    union all
    -- events
    select 'the events of an order aren''t numbered 1, 2, 3 …', coalesce(orders.id, told.order_id)
    from orders
    full join (
        select order_id, count(*) as number, max(ordinal) as last from event group by order_id
    ) as told on told.order_id = orders.id
    where coalesce(told.number, 0) <> coalesce(told.last, 0)
       or (orders.id is not null and orders.events <> coalesce(told.number, 0))
    union all
    select 'an event doesn''t have the members of its type: ' || event.type, event.order_id from event
    where array(
            select name from jsonb_object_keys(coalesce(event.data, event.body::jsonb -> 'data')) as name
            where name not in ('orderId', 'ordinal', 'event', 'links') -- of a numbered one
              and name not in ('status', 'percent', 'files', 'correlationId', 'message') order by name)
        <> array(select name from jsonb_array_elements_text($6::text::jsonb -> event.type) as name order by name)
    union all
    select 'an order that may have events with time is never checked for them', id from orders
    where events_due_at is null and (
        status in ('PENDING', 'RUNNING', 'PAUSED')
        or (status in ('DONE', 'DONE_WITH_WARNING') and error_files + processing_error_files > failures_told))
    union all
    select 'an order without events to come is checked for them', id from orders
    where events_due_at is not null and available_files = 0
      and (status in ('DELETED', 'EXPIRED')
           or (status not in ('PENDING', 'RUNNING', 'PAUSED')
               and error_files + processing_error_files = failures_told))
    union all
    select 'an order doesn''t have one event of its end for each final status', line.order_id
    from history line
    left join (
        select order_id, count(*) as number from event
        where type in ('order.done', 'order.done_with_warning', 'order.failed') group by order_id
    ) as told on told.order_id = line.order_id
    where line.sub_order_id is null and line.after in ('DONE', 'DONE_WITH_WARNING', 'FAILED')
    group by line.order_id, told.number
    having count(*) <> coalesce(told.number, 0)
    union all
    select 'a READY sub-order has no pending files', one.id
    from sub_order one
    join whole as alive on alive.id = one.order_id
    where one.state = 'READY' and one.pending_files = 0
    union all
    select 'no step frees the slots of a deleted or expired order', one.id
    from sub_order one
    left join orders on orders.id = one.order_id
    where one.state in ('RUNNING', 'PROCESSING', 'WAITING')
      and (orders.id is null or orders.status in ('DELETED', 'EXPIRED'))
      and not exists (
          select from step where body @> jsonb_build_object('step', 'delete-files', 'orderId', one.order_id))
    union all
    -- limits
    select 'the used capacity and the running sub-orders differ', coalesce(one.id, used.sub_order_id)
    from (select id from sub_order where state = 'RUNNING') as one
    full join rs_order.running_sub_order used on used.sub_order_id = one.id
    where one.id is null or used.sub_order_id is null
    union all
    select 'the claims on the capacity are counted wrongly: ' || coalesce(claim.owner, counted.owner), 0
    from rs_order.capacity_claim claim
    full join rs_order.counted_claim counted using (tenant, owner)
    where rs_order.is_counted() and (
        coalesce(claim.sub_orders, 0), coalesce(claim.files, 0), coalesce(claim.bytes, 0), coalesce(claim.promised, 0),
        coalesce(claim.promised_files, 0), coalesce(claim.promised_bytes, 0), coalesce(claim.waiting, 0), claim.rank
    ) is distinct from (
        coalesce(counted.sub_orders, 0), coalesce(counted.files, 0), coalesce(counted.bytes, 0),
        coalesce(counted.promised, 0), coalesce(counted.promised_files, 0), coalesce(counted.promised_bytes, 0),
        coalesce(counted.waiting, 0), counted.rank)
    union all
    -- a sub-order that is larger than a limit runs alone
    select 'more is in flight than a limit: ' || most.kind || ' ' || claim.owner, claim.files
    from rs_order.storage_limit most
    join rs_order.capacity_claim claim on claim.tenant = most.tenant and (claim.owner = '') = (most.kind = 'tenant')
    where claim.sub_orders + claim.promised > 1
      and rs_order.has_no_room(most, claim.sub_orders + claim.promised - 1, claim.files, claim.bytes, 0, 0)
    union all
    select 'no step starts a user who waits for a tenant with room', claim.waiting
    from rs_order.capacity_claim claim
    where claim.owner = '' and claim.tenant <> '' and not claim.blocked and $2 = 0
      and not exists (select from step where body ->> 'step' = 'schedule')
      and exists (
          select from rs_order.waiting_user waiting
          where waiting.tenant = claim.tenant and waiting.woken_at is null and not exists (
              select from rs_order.hold where order_id is null and (owner is null or owner = waiting.owner)))
    union all
    select 'a user runs more sub-orders than the limit: ' || owner, running from taken where $1 > 0 and running > $1
    union all
    -- except sub-orders that wait again after they freed their slot or needed none: late events, processes
    select 'a user has more slots than the limit: ' || owner, slots from taken
    where $1 > 0 and slots > $1 and not exists (
        select from history line join orders on orders.id = line.order_id
        where orders.owner = taken.owner and line.sub_order_id is not null
          and line.before in ('ENDED', 'READY', 'PROCESSING') and line.after = 'WAITING')
    union all
    select 'the service runs more sub-orders than its capacity', count(*) from rs_order.running_sub_order
    having $2 > 0 and count(*) > $2
    union all
    -- every unfinished order has a next step
    select 'no step reads the files of an order', alive.id
    from alive
    join completion on completion.order_id = alive.id
    where status in ('PENDING', 'RUNNING') and not exists (
        select from step where body @> jsonb_build_object('step', 'complete-order', 'orderId', alive.id,
            'selection', completion.selection, 'page', completion.page))
    union all
    select 'an order is PENDING without a completion', id from alive
    where status = 'PENDING' and not exists (select from completion where order_id = alive.id)
    union all
    select 'no step retries the files of an order', alive.id
    from alive
    join retry on retry.order_id = alive.id
    where status = 'RUNNING' and not exists (
        select from step where body @> jsonb_build_object('step', 'retry-order', 'orderId', alive.id,
            'datasetTaskId', retry.dataset_task_id, 'dataFileId', retry.data_file_id))
    union all
    select 'a BUILDING sub-order has neither a completion nor a retry', one.id
    from sub_order one
    join whole as alive on alive.id = one.order_id
    where one.state = 'BUILDING'
      and not exists (select from completion where order_id = alive.id)
      and not exists (select from retry where order_id = alive.id)
    union all
    select 'no step starts a READY sub-order', one.id
    from sub_order one
    join whole as alive on alive.id = one.order_id
    left join taken on taken.owner = one.owner
    where one.state = 'READY' and alive.status = 'RUNNING'
      and not exists (select from retry where order_id = alive.id)
      and not exists (
          select from step where body @> jsonb_build_object('step', 'schedule', 'owner', one.owner))
      and not ($1 > 0 and coalesce(taken.slots, 0) >= $1)
      and not exists (select from rs_order.waiting_user waiting
          where waiting.owner = one.owner and woken_at is null)
      -- a process asks for its inputs, which aren't looked at here
      and not exists (
          select from (
              select next.* from sub_order next
              join orders on orders.id = next.order_id and orders.status = 'RUNNING'
              where next.owner = one.owner and next.state = 'READY' and next.asks_storage
                and not exists (select from retry where order_id = orders.id)
                and not exists (select from rs_order.hold where hold.order_id = orders.id)
              order by next.rank limit 1
          ) as next
          join rs_order.storage_limit most on most.kind = 'user'
          where next.kind = 'PROCESSING'
             or rs_order.user_is_full(most.tenant, one.owner, next.pending_files, next.pending_bytes))
      and not exists (
          select from rs_order.hold
          where (hold.owner is null or hold.owner = one.owner)
            and (hold.order_id is null or hold.order_id = one.order_id))
    union all
    select 'no step ends a hold', id
    from rs_order.hold
    where not exists (
        select from step where body @> jsonb_build_object('step', 'end-hold', 'holdId', hold.id)
            and coalesce(due_at, $4) <= greatest(hold.until, $4))
    union all
    select 'a held sub-order started', line.sub_order_id
    from history line
    join orders on orders.id = line.order_id
    join rs_order.hold on hold.created_at < line.at
        and (hold.owner is null or hold.owner = orders.owner)
        and (hold.order_id is null or hold.order_id = orders.id)
    where line.id > $3 and line.before = 'READY' and line.after in ('RUNNING', 'PROCESSING')
    union all
    select 'the service has free capacity, but no step starts a waiting user', count(*)
    from rs_order.waiting_user waiting
    where woken_at is null and not exists (
        select from rs_order.hold where order_id is null and (owner is null or owner = waiting.owner))
    having count(*) > 0
       and (select count(*) from rs_order.running_sub_order) < $2
       and not exists (select from step where body ->> 'step' = 'schedule')
    union all
    select 'no step repeats a restore request', one.id
    from sub_order one
    join alive on alive.id = one.order_id
    where one.state = 'RUNNING' and not exists (
        select from step where body @> jsonb_build_object('step', 'ask-again', 'subOrderId', one.id,
            'asks', one.asks))
    union all
    select 'no step starts a process', one.id
    from sub_order one
    join alive on alive.id = one.order_id
    join process_batch batch on batch.sub_order_id = one.id
    where one.state = 'PROCESSING' and batch.batch_id is null and not exists (
        select from step where body @> jsonb_build_object('step', 'start-processing', 'subOrderId', one.id))
    union all
    select 'no step ends the wait for results', one.id
    from sub_order one
    join alive on alive.id = one.order_id
    join process_batch batch on batch.sub_order_id = one.id
    where one.state = 'PROCESSING' and batch.batch_id is not null and not exists (
        select from step where body @> jsonb_build_object('step', 'give-up-results', 'subOrderId', one.id))
    union all
    select 'a process without a batch', one.id
    from sub_order one
    join alive on alive.id = one.order_id
    where one.state = 'PROCESSING' and not exists (select from process_batch where sub_order_id = one.id)
    union all
    select 'no step expires an order', id
    from alive
    where expires_at is not null
      and (status in ('PENDING', 'RUNNING', 'PAUSED')
           or (status in ('DONE', 'DONE_WITH_WARNING') and available_files > 0))
      and not exists (
          select from step
          where body @> jsonb_build_object('step', 'expire-order', 'orderId', alive.id)
            and coalesce(due_at, $4) <= greatest(alive.expires_at, $4) + interval '1 second')
    union all
    select 'no step deletes the rows of a deleted or expired order', leftover.order_id
    from (
        select order_id from data_file union select order_id from process_input
        union select order_id from sub_order
    ) as leftover
    where not exists (select from whole where whole.id = leftover.order_id)
      and not exists (
          select from step
          where body @> jsonb_build_object('step', 'delete-files', 'orderId', leftover.order_id))
    union all
    select 'no step decides a request', id from order_request
    where state = 'RECEIVED' and not exists (
        select from step
        where body @> jsonb_build_object('step', 'grant-requests', 'requests', jsonb_build_array(order_request.id)))
    union all
    select 'a request could not be decided', id from rs_order.outbox where kind = 'DEAD_REQUEST'
    union all
    -- responses to peers
    select 'an order doesn''t have one response for each final status', line.order_id
    from history line
    left join final_responses on final_responses.order_id = line.order_id
    where line.sub_order_id is null and line.after in ('DONE', 'DONE_WITH_WARNING', 'FAILED')
      and line.reason <> 'download-errors'
    group by line.order_id, final_responses.responses
    having count(*) <> coalesce(final_responses.responses, 0)
    union all
    select 'a final response has no final status', order_id from final_responses
    where not exists (
        select from history line where line.order_id = final_responses.order_id and line.sub_order_id is null
          and line.after in ('DONE', 'DONE_WITH_WARNING', 'FAILED'))
    union all
    select 'GRANTED isn''t the first response, or not the only one', order_id
    from response where request_id is not null
    group by order_id
    having count(*) filter (where status = 'GRANTED') <> 1
        or min(id) <> min(id) filter (where status = 'GRANTED')
    union all
    -- except a sub-order that was downloaded before its completion or retry ended
    select 'a sub-order doesn''t have one response', line.sub_order_id
    from history line
    join whole as alive on alive.id = line.order_id
    where line.after = 'WAITING' and line.sub_order_id is not null and line.data_file_id is null
      and alive.status in ('RUNNING', 'DONE', 'DONE_WITH_WARNING', 'FAILED')
      and not exists (select from retry where order_id = alive.id)
      and not exists (select from completion where order_id = alive.id)
    group by line.order_id, line.sub_order_id
    having count(*) <> (
        select count(*) from response
        where order_id = line.order_id and status = 'SUBORDER_DONE' and sub_order_id = line.sub_order_id)
       and not (bool_or(line.before = 'BUILDING') and exists (
           select from history ended
           where ended.order_id = line.order_id and ended.sub_order_id = line.sub_order_id
             and ended.after = 'ENDED'))
    union all
    -- except after a late event of storage, which leaves the order's status as it is
    select 'a response to a sub-order follows the final response', alive.id
    from alive
    join final_responses on final_responses.order_id = alive.id
    where status in ('DONE', 'DONE_WITH_WARNING', 'FAILED')
      and (select count(*) from response
           where order_id = alive.id and status = 'SUBORDER_DONE' and id > final_responses.last_response)
          > (select count(*) from history line
             where line.order_id = alive.id and line.before = 'ENDED' and line.after = 'WAITING')
    union all
    select 'the last final response doesn''t match the order''s status', alive.id
    from alive
    join final_responses on final_responses.order_id = alive.id
    join response on response.id = final_responses.last_response
    where (alive.status = 'DONE' and response.status <> 'DONE')
       or (alive.status = 'FAILED' and response.status <> 'FAILED')
       or (alive.status = 'DONE_WITH_WARNING' and response.status = 'DONE' and not exists (
           select from history line where line.order_id = alive.id and line.reason = 'download-errors'))
)
select
    (select coalesce(json_agg(what || ' (' || which || ')' order by what, which), '[]') from wrong
     where $5 or what not like 'no step%' and what not like 'the service has%') as wrong,
    (select coalesce(json_agg(json_build_array(id, body, due_at) order by id), '[]') from step) as steps,
    (select coalesce(json_agg(json_build_array(sub_order_id is null, before, after, reason) order by id), '[]')
     from history where id > $3 and data_file_id is null) as lines,
    (select coalesce(max(id), 0) from history) as last_line,
    (select coalesce(max(order_id), 0) from history) as last_order,
    (select coalesce(json_agg(json_build_array(order_id, state, files)), '[]')
     from (select order_id, state, sum(pending_files) as files from sub_order group by order_id, state) one) as pending,
    (select coalesce(json_agg(body::json order by id), '[]') from rs_order.outbox
     where kind = 'EXECUTION_REQUEST') as executions,
    (select coalesce(json_agg(json_build_array(file.id, file.order_id) order by file.id), '[]')
     from data_file file join orders on orders.id = file.order_id and orders.status not in ('DELETED', 'EXPIRED')
     where file.state in ('AVAILABLE', 'DOWNLOADED', 'DOWNLOAD_ERROR')) as downloadable
