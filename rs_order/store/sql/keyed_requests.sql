-- name: claim
-- Begin the work of a request: of a new one, or of an equal one whose work was begun before $6 and isn't done. No row if
-- it isn't to be begun. $1 owner, $2 endpoint, $3 key, $4 fingerprint, $5 now.
insert into keyed_request (owner, endpoint, key, fingerprint, created_at, claimed_at)
values ($1, $2, $3, $4, $5, $5)
on conflict on constraint keyed_request_once do update
set claims = keyed_request.claims + 1, claimed_at = excluded.claimed_at
where keyed_request.status is null and keyed_request.claimed_at < $6
  and keyed_request.fingerprint = excluded.fingerprint
returning id, claims

-- name: find
-- $1 owner, $2 endpoint, $3 key.
select fingerprint, status, headers, body, order_id from keyed_request
where owner = $1 and endpoint = $2 and key = $3

-- name: finish
-- Keep the answer, unless the work was begun again. $1 id, $2 number of the claim, $3 status, $4 headers, $5 body,
-- $6 order id.
update keyed_request set status = $3, headers = $4, body = $5, order_id = $6
where id = $1 and claims = $2 and status is null
returning id

-- name: release
-- Forget a request whose work isn't done, unless it was begun again. $1 id, $2 number of the claim.
delete from keyed_request where id = $1 and claims = $2 and status is null

-- name: purge
-- $1 received before, $2 limit.
delete from keyed_request where id = any (array(
    select id from keyed_request where created_at < $1 order by created_at limit $2
))
