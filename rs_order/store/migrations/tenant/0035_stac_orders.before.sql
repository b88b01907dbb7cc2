-- Orders of items of STAC, and an index of the products of an order. The previous version has no such door.

create table stac_order (
    order_id bigint primary key references orders on delete cascade,
    owner varchar(128) not null,
    fingerprint bytea not null,
    request jsonb not null,
    unknown_items text[] not null
);
create index stac_order_fingerprint on stac_order (owner, fingerprint);
create index data_file_of_product on data_file (order_id, hashtextextended(product_urn, 0));
