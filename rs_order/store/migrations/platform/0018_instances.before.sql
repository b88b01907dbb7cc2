-- Processes show each other, and count wrong passwords together. The previous version does neither.

-- What each process says of itself, so that any of them can show all. A process deletes its row when it stops.
create table rs_order.instance (
    id uuid primary key,                          -- of the process
    name text not null,
    role text not null,
    version text not null,
    started_at timestamptz not null,
    seen_at timestamptz not null default clock_timestamp(),  -- when it last wrote this row
    state jsonb not null                          -- its health by component, and its calls of other services
);

-- Wrong passwords of the last minute, so that they count for the deployment and not for each process.
create table rs_order.wrong_password (
    id bigint generated always as identity primary key,
    digest bytea not null,                        -- SHA-256 of project and name
    at timestamptz not null
);
create index wrong_password_of_name on rs_order.wrong_password (digest, at);
