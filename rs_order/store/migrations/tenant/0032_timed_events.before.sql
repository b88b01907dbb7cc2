-- Events of orders that come with time. The previous version sets no time, so an order has its first check after
-- this version has changed it.

alter table orders
    add column events_due_at timestamptz,
    add column events_checked_at timestamptz,
    add column reason_code text,
    add column reason_since timestamptz,
    add column reason_told boolean not null default false,
    add column failures_told bigint not null default 0;
create index orders_with_events_due on orders (events_due_at) where events_due_at is not null;
