-- Archives say which files failed before they were made. The previous version makes archives without a notice, and doesn't
-- serve the last page of one that has it.

alter table archive
    add column order_files integer,                     -- those of the order when it was made; null: not known
    add column missing integer not null default 0,      -- files that had failed before
    add column notice_crc32 bigint;                     -- of NOTICE.txt, its last entry; null: it has none

create table archive_notice (
    archive_id bigint not null references archive on delete cascade,
    number integer not null,                            -- from 0
    lines bytea not null,                               -- follow those of the notice before
    failed jsonb not null,                              -- name, code and reason of each file that failed
    primary key (archive_id, number)
);
