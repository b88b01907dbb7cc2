-- name: begin
-- Count a run, if it is the next one. It reads first, so that a repeated message needs no lock to find out
-- that the run was counted. $1 name, $2 number, $3 the schedule of the following run, if any, $4 when that
-- is due.
insert into periodic_run (name, run, schedule, next_at)
select $1, $2, $3, $4 where not exists (select from periodic_run where name = $1 and run >= $2)
on conflict (name) do update set run = $2, schedule = $3, next_at = $4 where periodic_run.run = $2 - 1
returning run

-- name: reschedule
-- Cancel the planned run, if another schedule planned it, by counting it. Returns its number.
-- $1 name, $2 schedule, $3 when the following run is due.
update periodic_run set run = run + 1, schedule = $2, next_at = $3
where name = $1 and schedule is distinct from $2
returning run
