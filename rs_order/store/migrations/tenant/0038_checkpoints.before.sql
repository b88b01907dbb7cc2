-- Large files in archives are read from a checkpoint on, if storage takes ranges. The previous version reads them from
-- their first byte, and has no CRC-32 of a file that was read in parts.

create table archive_checkpoint (
    archive_id bigint not null references archive on delete cascade,
    file_id bigint not null,
    position bigint not null,                     -- bytes of the file before it; all of them: it was read in parts
    crc32 bigint not null,                        -- of these bytes
    primary key (archive_id, file_id, position)
);
