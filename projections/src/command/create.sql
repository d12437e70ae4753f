create table {table} (
    tenant    text collate "C" not null,
    id        uuid not null,
    category  text collate "C" not null,
    stream    text collate "C" not null,
    position  bigint not null,
    version   bigint not null,
    events    jsonb not null,
    request   uuid not null,
    principal text collate "C" not null,
    at        timestamptz not null
)
