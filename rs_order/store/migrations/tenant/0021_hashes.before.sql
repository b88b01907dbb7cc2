-- The hashes of files, as downloads delivered them, and when these bytes were proven. The previous version writes none.

alter table data_file
    add column crc32 bigint,
    add column sha256 bytea,
    add column verified_at timestamptz;
