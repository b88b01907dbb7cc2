-- Archives count how often a file of theirs had too few bytes, and one that ended names its successor. The previous version
-- ends archives without a successor, and doesn't count.

alter table archive
    add column short_file bigint,                       -- the file that last had too few bytes
    add column short_reads integer not null default 0,  -- how often it had, one time after the other
    add column successor bigint;                        -- the archive that was made instead; null: none
