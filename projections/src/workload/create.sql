create table {table} (
    tenant         text collate "C" not null,
    dimension      text collate "C" not null,
    name           text collate "C" not null,
    queued         bigint not null,
    assigned       bigint not null,
    in_progress    bigint not null,
    on_hold        bigint not null,
    completed      bigint not null,
    closed         bigint not null,
    cancelled      bigint not null,
    hand_overs     bigint not null,
    queued_us      bigint not null,
    assigned_us    bigint not null,
    in_progress_us bigint not null,
    on_hold_us     bigint not null,
    completed_us   bigint not null,
    closed_us      bigint not null,
    cancelled_us   bigint not null
-- A few rows that change all the time: room on each page keeps every change on it.
) with (fillfactor = 50)
