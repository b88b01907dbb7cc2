-- name: note_stalled
-- Note stalled work, and return the steps to write again: their work was noted before everything that was in their
-- queue went by, and hasn't moved since. Each time the pause until the next one doubles.
-- $1 steps, $2 subjects, $3 progress, $4 order ids, $5 now, $6 what was noted until then had its time, $7 what was
-- last seen before that is noted anew, $8 first pause, $9 longest.
with judged as (
    select stalled.*, known.noted_at, known.times, known.next_at,
           coalesce(same.it_is, false) as same,
           coalesce(same.it_is and known.noted_at <= $6 and known.next_at <= $5, false) as due
    from unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) as stalled (step, subject, progress, order_id)
    left join repeated_step known on known.step = stalled.step and known.subject = stalled.subject
    left join lateral (
        select known.seen_at >= $7 and known.progress is not distinct from stalled.progress as it_is
    ) as same on true
)
insert into repeated_step as known (step, subject, progress, order_id, noted_at, seen_at, next_at)
select step, subject, progress, order_id, $5, $5, $5 from judged
on conflict (step, subject) do update set (progress, noted_at, seen_at, times, written_at, next_at) = (
    select progress,
           case when same and not due then judged.noted_at else $5 end,
           $5,
           case when due then judged.times + 1 when same then judged.times else 0 end,
           case when due then $5 else known.written_at end,
           case when due then $5 + least($8::interval * power(2, least(judged.times, 30)), $9::interval) - $8::interval / 2
                when same then judged.next_at
                else $5 end
    from judged where judged.step = known.step and judged.subject = known.subject
)
returning step, subject, coalesce(written_at = $5, false) as due

-- name: any_unconfirmed
-- True if stalled work of these steps was noted since $2. $1 steps.
select exists (select from repeated_step where step = any ($1) and noted_at >= $2)

-- name: note_failure
-- Note that a step failed, and return how often in a row it did, with this cause. $1 step, $2 subjects, $3 order id,
-- $4 cause, $5 detail, $6 now.
insert into repeated_step as known (step, subject, order_id, noted_at, seen_at, next_at, failures, cause, detail)
select $1, subject, $3, $6, $6, $6, 1, $4, $5 from unnest($2::text[]) as subject
on conflict (step, subject) do update set
    failures = case when known.cause = $4 then known.failures + 1 else 1 end,
    cause = $4, detail = $5, seen_at = $6
returning failures

-- name: forget
-- The steps were done. Return the orders of those that had failed. $1 step, $2 subjects.
delete from repeated_step where step = $1 and subject = any ($2)
returning step, subject, order_id, failures

-- name: forget_unseen
-- The work of these steps goes on: the last checks didn't find it stalled. $1 steps, $2 last seen before.
delete from repeated_step where step = any ($1) and seen_at < $2
returning step, subject, order_id, failures

-- name: forget_old
-- $1 last seen before.
delete from repeated_step where seen_at < $1
returning step, subject, order_id, failures
