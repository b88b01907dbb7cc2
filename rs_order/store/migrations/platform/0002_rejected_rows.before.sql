-- A row that the broker rejected waits by itself, and the steps have partitions of their own. A relay of the
-- previous version goes on without its index; the outbox is small.

alter table rs_order.outbox
    add column attempts smallint not null default 0,
    add column retry_at timestamptz,
    drop constraint outbox_partition_check,
    add constraint outbox_partition_check check (partition between 0 and 31);
drop index rs_order.outbox_at_once;
create index outbox_now on rs_order.outbox (partition, id) where due_at is null and retry_at is null;
create index outbox_rejected on rs_order.outbox (partition, retry_at) where retry_at is not null;
create index outbox_rejected_stream on rs_order.outbox (stream) where retry_at is not null;
