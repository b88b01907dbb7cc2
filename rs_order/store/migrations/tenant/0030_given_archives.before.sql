-- The archive that a caller was last given at the address of an order's zip. The previous version gives none there.

create table archive_given (
    order_id bigint not null,
    email text not null,                          -- of the caller
    archive_id bigint not null references archive on delete cascade,
    failed boolean not null default false,        -- storage didn't deliver a file of it when it was last downloaded whole
    primary key (order_id, email)
);
create index archive_given_of_archive on archive_given (archive_id);
