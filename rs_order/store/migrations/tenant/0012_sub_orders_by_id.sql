-- The sub-orders of an order are stopped, released and deleted in slices by ascending id.

drop index sub_order_of_order;
create index sub_order_of_order on sub_order (order_id, id);
create index sub_order_at_work on sub_order (order_id, id) where state in ('RUNNING', 'PROCESSING', 'WAITING');
