-- A selection of the catalog that changes while it is read is read again. A previous version goes on without.

alter table completion
    add column pass smallint not null default 1,
    add column pass_total bigint,
    add column pass_products bigint not null default 0;
