-- Who started an act on many dead letters, for the audit of each. The previous version leaves it out.

alter table rs_order.dead_letter_run
    add column role text,
    add column correlation_id text;
