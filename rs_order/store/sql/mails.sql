-- name: plan_creation
-- The mail about a new order. $1 order id, $2 owner.
insert into mail (kind, owner, order_id) values ('ORDER_CREATED', $2, $1) returning id

-- name: plan_webhook_disabled
-- The mail about a webhook that gets nothing any more. $1 owner, $2 subscription.
insert into mail (kind, owner, subscription_id) values ('WEBHOOK_DISABLED', $1, $2) returning id

-- name: disabled_webhook
-- The contents of that mail, unless it gets events again or was removed. $1 subscription.
select owner, url, label, disabled_because from webhook join subscription on subscription.id = subscription_id
where subscription_id = $1 and state = 'disabled'

-- name: owners_to_remind
-- The next owners with available files, and which of them have an order to be reminded of: two index probes
-- each. It asks for the first row and not for "exists", which the planner answers with a scan of all waiting.
-- $1 after this owner, $2 available before, $3 limit.
with recursive page as (
    (select owner, 1 as number from orders
     where available_at is not null and owner > $1 order by owner limit 1)
    union all
    select (select owner from orders
            where available_at is not null and owner > page.owner order by owner limit 1), number + 1
    from page where page.owner is not null and number < $3
)
select owner, (
    select id from orders
    where owner = page.owner and available_at < $2 and available_files > 0
      and status not in ('PENDING', 'DELETED', 'FAILED', 'EXPIRED')
    order by available_at limit 1
) is not null as due
from page where owner is not null order by number

-- name: plan_reminders
-- One reminder for each owner who has none yet. $1 owners, $2 available before.
insert into mail (kind, owner, available_before)
select 'REMINDER', owner, $2 from unnest($1::text[]) as owner
on conflict (owner) where kind = 'REMINDER' do nothing
returning id

-- name: claim
-- $1 id, $2 now, $3 until.
update mail set attempts = attempts + 1, claimed_until = $3
where id = $1 and (claimed_until is null or claimed_until <= $2)
returning id, kind, owner, order_id, available_before, subscription_id, attempts, unavailable_since, sent

-- name: claimed_until
-- $1 id.
select claimed_until from mail where id = $1

-- name: created_order
-- The contents of the mail about a new order. $1 order id.
select id, owner, role, status, expires_at, front_url from orders
where id = $1 and expires_at is not null and front_url is not null

-- name: waiting_orders
-- Orders an owner is reminded of, by their creation. One past its expiry date is about to be deleted.
-- $1 owner, $2 available before, $3 now, $4 limit.
select label, created_at, expires_at, available_files, available_at from orders
where owner = $1 and available_at < $2 and available_files > 0
  and status not in ('PENDING', 'DELETED', 'FAILED', 'EXPIRED') and (expires_at is null or expires_at > $3)
order by created_at, id limit $4

-- name: count_waiting_orders
-- $1 owner, $2 available before, $3 now.
select count(*) from orders
where owner = $1 and available_at < $2 and available_files > 0
  and status not in ('PENDING', 'DELETED', 'FAILED', 'EXPIRED') and (expires_at is null or expires_at > $3)

-- name: postpone
-- $1 id, $2 until, $3 unavailable since.
update mail set claimed_until = $2, unavailable_since = $3 where id = $1

-- name: note_sent
-- $1 id.
update mail set sent = true, claimed_until = null where id = $1

-- name: mark_reminded
-- Restart the waiting time, in the order in which orders are locked. $1 owner, $2 available before, $3 now,
-- $4 limit.
update orders set available_at = $3
where id in (
    select id from orders
    where owner = $1 and available_at < $2 and available_files > 0
      and status not in ('PENDING', 'DELETED', 'FAILED', 'EXPIRED')
    order by id limit $4 for update
)

-- name: remove
-- $1 id.
delete from mail where id = $1
