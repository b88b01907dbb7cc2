-- name: list
-- Orders for an operator, newest first; null is no condition. $1 owner, $2 status, $3 label, $4 correlation id,
-- $5 before this id, $6 limit.
select * from orders
where ($1::text is null or owner = $1)
  and ($2::text is null or status = $2)
  and ($3::text is null or label = $3)
  and ($4::text is null or correlation_id = $4)
  and ($5::bigint is null or id < $5)
order by id desc
limit $6

-- name: order
-- $1 order.
select * from orders where id = $1

-- name: sub_orders
-- $1 order, $2 limit.
select * from sub_order where order_id = $1 order by id limit $2

-- name: reasons
-- Why files are in their states, the most frequent reasons first. $1 order, $2 limit.
select state, reason_code as code, reason, count(*) as files from data_file
where order_id = $1 and (reason_code is not null or reason is not null)
group by state, reason_code, reason
order by count(*) desc, state, reason_code, reason
limit $2

-- name: history
-- The last events of an order and its sub-orders. $1 order, $2 limit.
select * from (
    select id, at, sub_order_id, before, after, reason, actor, data_file_id from history
    where order_id = $1
    order by id desc
    limit $2
) last
order by id
