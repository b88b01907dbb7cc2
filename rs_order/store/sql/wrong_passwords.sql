-- name: wait
-- Since when the oldest of the last wrong passwords of a name counts; null: there are too few to wait. $1 digest, $2 since,
-- $3 how many are too many.
select min(at) from (
    select at from rs_order.wrong_password where digest = $1 and at > $2 order by at desc limit $3
) as last
having count(*) >= $3

-- name: count
-- Count a wrong password, and forget those of all names that don't count any more. $1 digest, $2 now, $3 before.
with old as (
    delete from rs_order.wrong_password where at <= $3
)
insert into rs_order.wrong_password (digest, at) values ($1, $2)

-- name: forget
-- $1 digest.
delete from rs_order.wrong_password where digest = $1
