-- Why: the reactor is alone in office, and keeps how far the journal has had its effects; it is no part of
-- the read side, which may be behind it or before it.

insert into office (name) values ('reactor');

create table reactor (
    single     boolean primary key default true check (single),
    position   bigint not null default 0,
    updated_at timestamptz not null default now()
);
insert into reactor default values;
comment on table reactor is 'how far the journal has had its effects: one row';
