-- Why: the runner needs one place to say how far the read side is, moved in the transaction that
-- moves the rows; and every query needs to know that place at the same moment.

create table read_side (
    single     boolean primary key default true check (single),
    position   bigint not null default 0,
    -- Counts the terms of office of runners: a stale one can be told from the present one.
    term       bigint not null default 0,
    updated_at timestamptz not null default now()
);
insert into read_side default values;
comment on table read_side is 'how far the live read models have read the journal: one row';

create table projection (
    name              text primary key,
    version           integer not null,
    position          bigint not null,
    status            text not null check (status in ('live', 'stopped')),
    error             text,
    -- How far a rebuild has come, while one runs.
    rebuild_position  bigint,
    rebuild_requested boolean not null default false,
    updated_at        timestamptz not null default now()
);
comment on table projection is 'one row a read model';
comment on column projection.position is 'where a stopped model stands; a live one stands where read_side does';

-- The runner in office beats here; one whose beat has stopped may be put out of office.
create table projector_lease (
    single  boolean primary key default true check (single),
    pid     integer not null default 0,
    beat_at timestamptz not null default now()
);
insert into projector_lease default values;
