create table {table} (
    tenant       text collate "C" not null,
    id           uuid not null,
    name         text collate "C",
    status       text collate "C" not null,
    jobs         bigint,
    -- JSON with a payload of somebody else's making, as text: Postgres refuses what is nested deeper
    -- than its stack.
    on_complete  text,
    labels       jsonb not null,
    opened_at    timestamptz not null,
    closed_at    timestamptz,
    completed_at timestamptz,
    succeeded    bigint,
    dead         bigint,
    cancelled    bigint,
    version      bigint not null,
    position     bigint not null,
    principal    text collate "C" not null
)
