-- What was done in each hour, for the plots of the console. The previous version writes none.

create table hourly_throughput (
    hour timestamptz primary key,                 -- its beginning
    restored_files bigint not null default 0,     -- that storage brought back for orders
    restored_bytes bigint not null default 0,
    delivered_files bigint not null default 0,    -- that were downloaded whole for the first time
    delivered_bytes bigint not null default 0
);
