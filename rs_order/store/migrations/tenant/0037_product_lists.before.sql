-- Lists of the products of orders, made for those whose items are read. They replace an index of all files, which no
-- release has, and which made each insert of a file cost a quarter more.

create table product_list (
    order_id bigint primary key references orders on delete cascade,
    last_file bigint not null default 0           -- the files up to this one are in the list
);
create table listed_product (
    order_id bigint not null references product_list on delete cascade,
    key bigint not null,                          -- the hash of its URN: pages are in this order
    product_urn text not null,
    product_id text,
    files bigint[] not null,                      -- the first ones, ascending
    primary key (order_id, key, product_urn)
);
create index listed_product_of_provider on listed_product (order_id, product_id);
drop index if exists data_file_of_product;
