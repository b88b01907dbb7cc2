-- The trace that a message belongs to. The previous version leaves it out.

alter table rs_order.outbox add column traceparent text;
