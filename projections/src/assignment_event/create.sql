create table {table} (
    position     bigint not null,
    index        integer not null,
    tenant       text collate "C" not null,
    id           uuid not null,
    version      bigint not null,
    type         text collate "C" not null,
    v            integer not null,
    data         json not null,
    at           timestamptz not null,
    occurred_at  timestamptz,
    principal    text collate "C" not null,
    on_behalf_of text collate "C",
    command      uuid not null,
    correlation  text collate "C",
    causation    text collate "C"
)
