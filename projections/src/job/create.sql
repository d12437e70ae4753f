create table {table} (
    tenant       text collate "C" not null,
    id           uuid not null,
    queue        text collate "C" not null,
    kind         text collate "C" not null,
    -- 0 (critical) to 3 (low), in the order in which they come first.
    priority     integer not null,
    status       text collate "C" not null,
    attempt      bigint not null,
    failures     bigint not null,
    worker       text collate "C",
    enqueued_at  timestamptz not null,
    ready_at     timestamptz,
    started_at   timestamptz,
    ended_at     timestamptz,
    deadline     timestamptz,
    timeout_s    bigint,
    fairness_key text collate "C",
    capabilities jsonb not null,
    labels       jsonb not null,
    parent_kind  text collate "C",
    parent_id    text collate "C",
    percent      integer,
    message      text,
    error        text,
    death        text collate "C",
    wait_ms      bigint,
    -- JSON of somebody else's making, as text: Postgres would look into it each time, and refuses what
    -- is nested deeper than its stack.
    payload      text,
    result       text,
    retry        jsonb not null,
    version      bigint not null,
    position     bigint not null,
    principal    text collate "C" not null
-- Room on each page, so that a row that is written again stays near.
) with (fillfactor = 80)
