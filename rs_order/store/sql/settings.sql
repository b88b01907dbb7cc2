-- name: all
select name, value from setting

-- name: put
-- Set a value, unless it is set already. $1 name, $2 value (JSON).
insert into setting (name, value) values ($1, $2)
on conflict (name) do update set value = excluded.value where setting.value <> excluded.value
returning name

-- name: remove
-- $1 name.
delete from setting where name = $1 returning name
