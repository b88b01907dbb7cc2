-- Orders of items of STAC. The previous version has no such door. An index of data_file that this migration had built is
-- dropped by 0037; no release has it.

create table stac_order (
    order_id bigint primary key references orders on delete cascade,
    owner varchar(128) not null,
    fingerprint bytea not null,
    request jsonb not null,
    unknown_items text[] not null
);
create index stac_order_fingerprint on stac_order (owner, fingerprint);
