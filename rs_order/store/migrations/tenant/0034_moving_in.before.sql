-- The import of the orders of a Java service. The previous version imports nothing.

create table moving_in (
    only_row boolean primary key default true check (only_row),
    source text not null,                         -- address and schema, without the password
    began_at timestamptz not null,
    sliced boolean not null default false,        -- all its slices are planned
    copied_at timestamptz,                        -- when everything was copied and agreed with the source
    ended_at timestamptz,                         -- when the orders under way could go on; null: it isn't done
    last_order_id bigint,                         -- the highest that came
    report jsonb,                                 -- of the comparison at the end
    constraint done_import_is_copied check (ended_at is null or copied_at is not null)
);

-- What the import copies in one commit, and has copied.
create table moving_in_slice (
    kind text not null check (kind in ('orders', 'baskets')),
    number integer not null,
    first_id bigint not null,
    last_id bigint not null,
    files bigint not null,
    bytes bigint not null,
    tally jsonb,                                  -- what came, what didn't and what was repaired; null: not copied
    primary key (kind, number)
);
create index moving_in_slice_left on moving_in_slice (kind, number) where tally is null;
