-- The audit of what operators and administrators do. Entries are only added; they are kept for a year.

create table rs_order.audit (
    id bigint generated always as identity primary key,
    at timestamptz not null default clock_timestamp(),
    tenant text,
    actor text not null,
    role text,
    door text not null check (door in ('rest', 'cli', 'amqp')),
    action text not null,
    object_kind text not null,
    object_id text not null,
    before jsonb,
    after jsonb,
    reason text,
    correlation_id text
);
create index audit_at on rs_order.audit (at, id);
create index audit_of_tenant on rs_order.audit (tenant, at, id);

create function rs_order.refuse_change_of_audit() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' and old.at < clock_timestamp() - interval '365 days' then
        return old;
    end if;
    raise check_violation using
        message = format('entries of the audit are kept for 365 days: %s is refused', tg_op),
        constraint = 'audit_is_append_only';
end $$;
create trigger audit_is_append_only before update or delete on rs_order.audit
    for each row execute function rs_order.refuse_change_of_audit();
create trigger audit_is_never_truncated before truncate on rs_order.audit
    execute function rs_order.refuse_change_of_audit();
