-- Steps that failed, or whose work the reconciler found stalled. A row is deleted when its step was done, or when
-- its work goes on.
create table repeated_step (
    step text not null,                           -- name
    subject text not null,                        -- members, as JSON: what the step works on, and how far that has come
    progress text,                                -- of the work, if the members don't have it
    order_id bigint,                              -- if the step is about an order
    noted_at timestamptz not null,                -- first time it failed or was found stalled
    seen_at timestamptz not null,                 -- last time
    times integer not null default 0,             -- how often the reconciler wrote it again
    written_at timestamptz,                       -- last time it did
    next_at timestamptz not null,                 -- it doesn't do so before
    failures integer not null default 0,          -- in a row, with the same cause
    cause text,                                   -- of the last failure, without the numbers in its detail
    detail text,
    primary key (step, subject)
);
create index repeated_step_of_order on repeated_step (order_id) where order_id is not null;
