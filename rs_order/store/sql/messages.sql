-- name: send
-- Rows of the outbox, in the order of the arrays; a stream always has the same partition. Steps have partitions
-- of their own, so that they don't wait behind messages to peers. Returns the partitions of the rows that are due
-- now, and the first due time of the others.
-- $1 kinds, $2 tenants, $3 streams, $4 bodies, $5 correlation ids, $6 message ids, $7 due at, $8 traces (null: none).
with written as (
insert into rs_order.outbox (partition, kind, tenant, stream, body, correlation_id, message_id, due_at, traceparent)
select abs(hashtextextended(coalesce(stream, message_id::text), 0) % 16)
           + case kind when 'STEP' then 16 else 0 end,
       kind, tenant, stream, body,
       correlation_id, message_id, due_at, traceparent
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::timestamptz[], $8::text[])
    with ordinality as sent (kind, tenant, stream, body, correlation_id, message_id, due_at, traceparent, position)
order by position
returning partition, due_at
)
select array_agg(distinct partition) filter (where due_at is null) as partitions, min(due_at) as due_at from written

-- name: unpublished_steps
-- The steps among these that are due rows. $1 tenant, $2 names, $3 subjects, $4 now.
with due as (
    select body::jsonb as body from rs_order.outbox
    where partition between 16 and 31 and tenant = $1 and due_at is null
    union all
    select body::jsonb from rs_order.outbox
    where partition between 16 and 31 and tenant = $1 and due_at <= $4
), waiting as (
    select body ->> 'step' as step, coalesce(request, body - 'step' - 'again') as subject
    from due left join lateral jsonb_array_elements(body -> 'requests') as request on true
)
select distinct wanted.step, wanted.subject
from unnest($2::text[], $3::text[]) as wanted (step, subject)
join waiting on waiting.step = wanted.step and waiting.subject = wanted.subject::jsonb

-- name: traces
-- The traces that orders began in. $1 order ids.
select id, traceparent from orders where id = any ($1) and traceparent is not null

-- name: save_responses
-- Keep order responses, so that they can be sent again when a request is repeated.
-- $1 order ids, $2 request ids, $3 message ids, $4 correlation ids, $5 bodies.
insert into order_response (order_id, request_id, message_id, correlation_id, body)
select order_id, request_id, message_id, correlation_id, body
from unnest($1::bigint[], $2::bigint[], $3::uuid[], $4::text[], $5::text[])
    with ordinality as sent (order_id, request_id, message_id, correlation_id, body, position)
order by position

-- name: responses
-- Every response to these requests so far, in order. $1 request ids.
select request_id, order_id, message_id, correlation_id, body
from order_response where request_id = any ($1) order by request_id, id

-- name: purge_responses
-- Delete responses created before $1, at most $2.
delete from order_response
where id in (
    select id from order_response where created_at < $1 order by created_at limit $2
)
