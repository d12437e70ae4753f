create table {table} (
    tenant     text collate "C" not null,
    name       text collate "C" not null,
    limits     jsonb not null,
    paused     boolean not null,
    reason     text,
    version    bigint not null,
    position   bigint not null,
    changed_at timestamptz not null
)
