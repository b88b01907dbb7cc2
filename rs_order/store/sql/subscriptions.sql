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
-- Subscriptions; a webhook with what waits, what is dead, and up to where everything was delivered or is dead.
-- $1 owner (null: all).
select subscription.*, webhook.subscription_id is not null as is_webhook, url, mode, thresholds, state, disabled_because,
       allowed_rate, last_success, last_failure, last_status, last_answer, waiting.number as backlog,
       dead.number as dead,
       coalesce(waiting.first - 1, case when behind then webhook.position else fan_out.position end) as done
from subscription
left join webhook on webhook.subscription_id = subscription.id
cross join fan_out
left join lateral (
    select count(*) as number, min(delivery.position) as first from delivery
    where delivery.subscription_id = webhook.subscription_id and delivery.state = 'waiting'
) as waiting on true
left join lateral (
    select count(*) as number from delivery
    where delivery.subscription_id = webhook.subscription_id and delivery.state = 'dead'
) as dead on true
where $1::text is null or owner = $1 order by created_at desc, id

-- name: find
-- The same for one. $1 id.
select subscription.*, webhook.subscription_id is not null as is_webhook, url, mode, thresholds, state, disabled_because,
       allowed_rate, last_success, last_failure, last_status, last_answer, waiting.number as backlog,
       dead.number as dead,
       coalesce(waiting.first - 1, case when behind then webhook.position else fan_out.position end) as done
from subscription
left join webhook on webhook.subscription_id = subscription.id
cross join fan_out
left join lateral (
    select count(*) as number, min(delivery.position) as first from delivery
    where delivery.subscription_id = webhook.subscription_id and delivery.state = 'waiting'
) as waiting on true
left join lateral (
    select count(*) as number from delivery
    where delivery.subscription_id = webhook.subscription_id and delivery.state = 'dead'
) as dead on true
where id = $1

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
