-- The trace that an order began in, so that its responses belong to it whatever they follow from. The previous
-- version leaves it out.

alter table orders add column traceparent text;
