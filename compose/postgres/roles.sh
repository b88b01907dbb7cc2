#!/bin/sh
# Runs once, in an empty database: the owner of the schemas, and the role of the service, which owns nothing.
# Neither is a superuser. "rs-order migrate --grant-to rs_order" gives the second one its rights.
set -eu
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
    --set owner_password="$OWNER_PASSWORD" --set password="$SERVICE_PASSWORD" <<'SQL'
create role rs_order_owner login password :'owner_password';
create role rs_order login password :'password';
create database rs_order owner rs_order_owner;
revoke connect on database rs_order from public;
grant connect on database rs_order to rs_order;
SQL
