-- name: check
-- Whether the server only reads. Ends sessions whose client is frozen, as the module of the watch explains.
-- $1 application name of our sessions, $2 longest time in ms in which a client doesn't send the rest of a statement,
-- $3 the same for a client that doesn't read a result.
with frozen as materialized (
    select pid from pg_stat_activity
    where datname = current_database() and usename = current_user and application_name = $1 and state = 'active'
        and clock_timestamp() - state_change
            > case wait_event when 'ClientRead' then $2::integer when 'ClientWrite' then $3::integer end * interval '1 ms'
)
select current_setting('transaction_read_only') = 'on' as only_reads,
    array(select pid from frozen where pg_terminate_backend(pid)) as ended
