-- Steps read the files of an archive whose directory was asked for before they were delivered. The previous version only
-- refuses that.

alter table archive
    add column read_slices integer not null default 0,  -- slices that steps began; a step with another number is outdated
    add column read_at timestamptz;                     -- when the last of them went on; null: no step is at work
