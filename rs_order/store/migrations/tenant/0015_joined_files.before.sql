-- One recall serves all: a sub-order joins the request of another one for the same checksum. The previous version asks
-- for each file itself, and joins nothing.

alter table sub_order
    add column joined_files integer not null default 0,
    add column joined_bytes bigint not null default 0,
    add column asked_hours integer;

create table joined_file (
    sub_order_id bigint not null references sub_order on delete cascade,
    checksum text not null,
    asked_by bigint not null,
    asks_longer boolean not null,
    primary key (sub_order_id, checksum)
);
create index joined_file_checksum on joined_file (checksum);
