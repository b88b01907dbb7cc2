-- What the reconciler goes by: until when something may stand still before its step counts as lost.

alter table sub_order add column due_at timestamptz;
update sub_order set due_at = now()
where state = 'RUNNING'
   or (state = 'PROCESSING' and exists (
       select from process_batch batch where batch.sub_order_id = sub_order.id and batch.batch_id is null));
create index sub_order_due on sub_order (due_at) where state in ('RUNNING', 'PROCESSING');

alter table periodic_round add column next_at timestamptz;

create index orders_to_expire on orders (expires_at)
    where status in ('PENDING', 'RUNNING', 'PAUSED') or available_at is not null;

create index order_request_received on order_request (id) where state = 'RECEIVED';
