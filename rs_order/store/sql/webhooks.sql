-- name: lock_fan_out
-- Let one process at a time make deliveries. No row: another one does it.
select from fan_out for no key update skip locked

-- name: hold_fan_out
-- Let no process make deliveries until the transaction ends.
select from fan_out for share

-- name: lock_wanting
-- Lock the webhooks that want events behind $1 up to $2. It is a statement of its own, so that the next one sees which
-- deliveries have ended.
select subscription_id from webhook
join subscription on subscription.id = webhook.subscription_id
where state in ('active', 'struggling') and not behind and exists (
    select from event where event.position > $1 and event.position <= $2 and wanted(event, subscription, webhook))
order by subscription_id for no key update of webhook

-- name: fan_out
-- Make the deliveries of events behind $1 up to $2, for the webhooks $3. The first of each order is due, unless an
-- earlier one waits. $4 now.
with added as (
    insert into delivery (subscription_id, position, order_id, due_at)
    select webhook.subscription_id, event.position, event.order_id,
           case when row_number() over (
                    partition by webhook.subscription_id, event.order_id order by event.position) = 1
                and not exists (
                    select from delivery
                    where delivery.subscription_id = webhook.subscription_id
                      and delivery.order_id = event.order_id and delivery.state = 'waiting')
           then $4::timestamptz end
    from webhook
    join subscription on subscription.id = webhook.subscription_id
    join event on event.position > $1 and event.position <= $2 and wanted(event, subscription, webhook)
    where webhook.subscription_id = any ($3::uuid[])
    on conflict do nothing
), woken as (
    update webhook set due_at = least(due_at, $4) where subscription_id = any ($3)
)
update fan_out set position = $2

-- name: catch_up
-- Make the deliveries that a webhook has missed, up to $2. It is part of the fan-out from then on, if $2 is how far
-- that has come. $1 subscription, $3 now.
with added as (
    insert into delivery (subscription_id, position, order_id, due_at)
    select webhook.subscription_id, event.position, event.order_id,
           case when row_number() over (partition by event.order_id order by event.position) = 1
                and not exists (
                    select from delivery
                    where delivery.subscription_id = $1
                      and delivery.order_id = event.order_id and delivery.state = 'waiting')
           then $3::timestamptz end
    from webhook
    join subscription on subscription.id = webhook.subscription_id
    join event on event.position > webhook.position and event.position <= $2
              and wanted(event, subscription, webhook)
    where webhook.subscription_id = $1
    on conflict do nothing
)
update webhook set position = $2, behind = $2 < fan_out.position, due_at = least(due_at, $3)
from fan_out
where subscription_id = $1

-- name: look
-- Whether there is something to do: events without deliveries, webhooks that are due, or events that a process left
-- without positions when it died. $1 now, $2 before: events that were written earlier should have positions.
select log.position > fan_out.position as fan_out, exists (
    select from webhook
    where state <> 'disabled' and due_at <= $1 and (resting_until is null or resting_until <= $1)
      and (claimed_until is null or claimed_until <= $1)) as due,
    exists (select from event where position is null and created_at < $2) as overdue
from event_log log cross join fan_out

-- name: ends
-- How far the log has come, and how far the deliveries. It is read after lock_fan_out or hold_fan_out.
select log.position as log, fan_out.position as fan_out from event_log log cross join fan_out

-- name: claim
-- Claim the webhooks that are due: those whose last attempt was a success first, at most $3, and $4 others.
-- $1 now, $2 until.
with good as materialized (
    select subscription_id from webhook
    where state <> 'disabled' and due_at <= $1 and (resting_until is null or resting_until <= $1)
      and (claimed_until is null or claimed_until <= $1) and failures = 0 and last_success is not null
    order by due_at limit $3 for no key update skip locked
), others as materialized (
    select subscription_id from webhook
    where state <> 'disabled' and due_at <= $1 and (resting_until is null or resting_until <= $1)
      and (claimed_until is null or claimed_until <= $1) and (failures > 0 or last_success is null)
    order by due_at limit $4 for no key update skip locked
)
update webhook set claimed_until = $2, claim = claim + 1
from subscription
where subscription.id = webhook.subscription_id
  and webhook.subscription_id in (select subscription_id from good union all select subscription_id from others)
returning webhook.*, subscription.owner

-- name: due_deliveries
-- The deliveries of claimed webhooks that are due, the longest first, with their events. $1 subscriptions, $2 the most of each, $3 now.
select delivery.subscription_id, delivery.position, delivery.order_id, delivery.attempts, delivery.is_replay,
       event.body, event.created_at
from unnest($1::uuid[], $2::integer[]) as wanted (id, most)
cross join lateral (
    select * from delivery where subscription_id = wanted.id and due_at <= $3 order by due_at, position limit wanted.most
) as delivery
join event on event.position = delivery.position
order by delivery.due_at, delivery.position

-- name: lock_claimed
-- Lock the webhooks whose claim is still that of the caller, and return them. $1 subscriptions, $2 claims.
select webhook.subscription_id from webhook
join unnest($1::uuid[], $2::bigint[]) as claimed (id, claim)
  on claimed.id = webhook.subscription_id and claimed.claim = webhook.claim
order by webhook.subscription_id for no key update of webhook

-- name: settle
-- Note what became of attempts. $1 subscriptions, $2 positions, $3 states, $4 when they are due, $5 ids of the attempts,
-- $6 when these were, $7 statuses, $8 answers.
update delivery
set state = attempt.state, due_at = attempt.due_at, attempts = attempts + 1, attempt_id = attempt.id,
    attempted_at = attempt.at, status = attempt.status, answer = attempt.answer
from unnest($1::uuid[], $2::bigint[], $3::text[], $4::timestamptz[], $5::uuid[], $6::timestamptz[], $7::integer[],
            $8::text[]) as attempt (subscription_id, position, state, due_at, id, at, status, answer)
where delivery.subscription_id = attempt.subscription_id and delivery.position = attempt.position
  and delivery.state = 'waiting'

-- name: make_due
-- Let the next delivery of each order be due. It is a statement of its own, so that it sees which ones have ended.
-- $1 subscriptions, $2 their orders, $3 now.
update delivery set due_at = $3
from unnest($1::uuid[], $2::bigint[]) as ended (subscription_id, order_id)
cross join lateral (
    select position from delivery
    where subscription_id = ended.subscription_id and order_id = ended.order_id and state = 'waiting'
    order by position limit 1
) as next
where delivery.subscription_id = ended.subscription_id and delivery.position = next.position and due_at is null

-- name: release
-- End claims, and note how the receivers did.
-- $1 subscriptions, $2 states, $3 reasons of those that are disabled, $4 failures in a row, $5 since when, $6 the last
-- success, $7 the last failure (null: none since), $8 its status, $9 its answer, $10 resting until; $11 now.
update webhook
set state = given.state, disabled_because = given.because, failures = given.failures,
    failing_since = given.failing_since, last_success = given.success,
    last_failure = coalesce(given.failure, last_failure),
    last_status = case when given.failure is null then last_status else given.status end,
    last_answer = case when given.failure is null then last_answer else given.answer end,
    resting_until = given.resting_until, claimed_until = null,
    position = case when given.state = 'disabled' and not behind then fan_out.position else webhook.position end,
    behind = behind or given.state = 'disabled',
    due_at = case when given.state <> 'disabled' and behind then $11::timestamptz else (
        select due_at from delivery
        where delivery.subscription_id = given.id and due_at is not null order by due_at limit 1) end
from fan_out, unnest($1::uuid[], $2::text[], $3::text[], $4::integer[], $5::timestamptz[], $6::timestamptz[],
                     $7::timestamptz[], $8::integer[], $9::text[], $10::timestamptz[])
    as given (id, state, because, failures, failing_since, success, failure, status, answer, resting_until)
where webhook.subscription_id = given.id

-- name: unclaim
-- End claims of which nothing was sent. $1 subscriptions, $2 claims.
update webhook set claimed_until = null
from unnest($1::uuid[], $2::bigint[]) as claimed (id, claim)
where webhook.subscription_id = claimed.id and webhook.claim = claimed.claim

-- name: begin_fan_out
-- While there is no webhook, no deliveries are made. The first one begins with the next event.
update fan_out set position = log.position
from event_log log
where not exists (select from webhook)

-- name: add
-- It begins with the next event. $1 id, $2 owner, $3 label, $4 scope, $5 order, $6 types, $7 now, $8 url, $9 mode,
-- $10 thresholds, $11 secret, $12 state, $13 allowed rate, $14 pending until, $15 ends with its order.
with added as (
    insert into subscription (id, owner, label, scope, order_id, types, position, created_at)
    select $1::uuid, $2, $3, $4, $5::bigint, $6::text[], position, $7::timestamptz from event_log
    returning *
)
insert into webhook (subscription_id, url, mode, thresholds, secret, state, allowed_rate, pending_until,
                     ends_with_order, position, due_at)
select id, $8, $9, $10::integer[], $11, $12, $13, $14::timestamptz, $15, position, $7 from added

-- name: lock
-- $1 subscription.
select webhook.*, owner from webhook join subscription on subscription.id = webhook.subscription_id
where subscription_id = $1 for no key update of webhook

-- name: verified
-- It gets events from now on, first those that it has missed. $1 subscription, $2 allowed rate (null: any), $3 now.
update webhook
set state = 'active', disabled_because = null, pending_until = null, allowed_rate = $2, failures = 0,
    failing_since = null, resting_until = null, claim = claim + 1, claimed_until = null, due_at = $3
where subscription_id = $1

-- name: not_verified
-- Try it again later, or never. $1 subscription, $2 state, $3 reason if it is disabled, $4 pending until, $5 due, $6 now,
-- $7 status, $8 answer.
update webhook
set state = $2, disabled_because = $3, pending_until = $4, due_at = $5, claimed_until = null,
    last_failure = $6, last_status = $7, last_answer = $8
where subscription_id = $1

-- name: make_pending
-- Send nothing until the receiver is verified. The deliveries wait. $1 subscription, $2 url, $3 pending until, $4 due.
update webhook
set state = 'pending', url = $2, pending_until = $3, due_at = $4, disabled_because = null,
    position = case when behind then webhook.position else fan_out.position end, behind = true,
    resting_until = null, allowed_rate = null, claim = claim + 1, claimed_until = null
from fan_out
where subscription_id = $1

-- name: disable
-- $1 subscription, $2 reason.
update webhook
set state = 'disabled', disabled_because = $2, pending_until = null, due_at = null,
    position = case when behind then webhook.position else fan_out.position end, behind = true,
    claim = claim + 1, claimed_until = null
from fan_out
where subscription_id = $1 and state <> 'disabled'

-- name: begin_anew
-- The deliveries that wait have all their attempts again, and so have those that died since the last success.
-- $1 subscription.
update delivery set state = 'waiting', attempts = 0, due_at = null
from webhook
where webhook.subscription_id = $1 and delivery.subscription_id = $1
  and (delivery.state = 'waiting' or (delivery.state = 'dead' and attempted_at >= webhook.failing_since))

-- name: replay
-- Let events be delivered again, or for the first time, at most $7 of those that were given to the others. Return their
-- number, and the position of the last one. $1 subscription, $2 from this position, $3 since, $4 until (null: no limit),
-- $5 types (null: all), $6 only those that are dead.
with chosen as materialized (
    select event.position, event.order_id
    from webhook
    join subscription on subscription.id = webhook.subscription_id
    cross join fan_out
    join event on event.position >= $2 and wanted(event, subscription, webhook)
              and event.position <= case when behind then webhook.position else fan_out.position end
    left join delivery on delivery.subscription_id = webhook.subscription_id and delivery.position = event.position
    where webhook.subscription_id = $1
      and ($3::timestamptz is null or event.created_at >= $3) and ($4::timestamptz is null or event.created_at <= $4)
      and ($5::text[] is null or event.type = any ($5))
      and (not $6 or delivery.state = 'dead') and delivery.state is distinct from 'waiting'
    order by event.position limit $7
), repeated as (
    insert into delivery (subscription_id, position, order_id, is_replay)
    select $1, position, order_id, true from chosen
    on conflict (subscription_id, position) do update
    set state = 'waiting', due_at = null, attempts = 0, is_replay = true
)
select count(*) as events, max(position) as last from chosen

-- name: heads_due
-- Let the first delivery of each order that waits be due. $1 subscription, $2 now.
with heads as (
    select order_id, min(position) as position from delivery
    where subscription_id = $1 and state = 'waiting' group by order_id
), due as (
    update delivery set due_at = $2
    from heads
    where subscription_id = $1 and delivery.position = heads.position and due_at is null
)
update webhook set due_at = least(due_at, $2)
where subscription_id = $1 and state <> 'disabled'

-- name: go_on_from
-- Let a webhook that gets nothing go on from a position: what waits before it is dead, and what was delivered behind
-- it is sent again. $1 subscription, $2 position.
with skipped as (
    update delivery set state = 'dead', due_at = null
    where subscription_id = $1 and state = 'waiting' and position < $2
), repeated as (
    update delivery set state = 'waiting', attempts = 0, is_replay = true
    where subscription_id = $1 and state <> 'waiting' and position >= $2
)
update webhook set position = least($2 - 1, log.position)
from event_log log
where subscription_id = $1

-- name: change
-- $1 subscription, $2 label, $3 types, $4 thresholds.
with changed as (update webhook set thresholds = $4::integer[] where subscription_id = $1)
update subscription set label = $2, types = $3 where id = $1

-- name: rotate
-- The present secret becomes the old one, which signs until $3; null: it signs no more. $1 subscription, $2 new secret.
update webhook
set old_secret = case when $3::timestamptz is not null then secret end, old_secret_until = $3, secret = $2
where subscription_id = $1

-- name: deliveries
-- The newest first. $1 subscription, $2 state (null: all), $3 before this position (null: from the newest), $4 limit.
select delivery.*, event.event_id, event.type from delivery
join event on event.position = delivery.position
where subscription_id = $1 and ($2::text is null or state = $2) and ($3::bigint is null or delivery.position < $3)
order by delivery.position desc limit $4

-- name: end_with_orders
-- Delete the webhooks that came with an order which has ended, after its last event is deleted.
delete from subscription using webhook
where webhook.subscription_id = subscription.id and ends_with_order
  and not exists (select from event where event.order_id = subscription.order_id)
  and not exists (
      select from orders where orders.id = subscription.order_id and status in ('PENDING', 'RUNNING', 'PAUSED')
  )
