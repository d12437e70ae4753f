-- Why: the dispatcher of jobs is alone in office as the projector is, each on its own: whoever stands by
-- for one looks for its beat and no other.

create table office (
    name    text primary key,
    pid     integer not null default 0,
    beat_at timestamptz not null default now()
);
insert into office (name) values ('projector'), ('dispatcher');
comment on table office is 'one row an office: whoever is in it beats here, and is put out when the beat has stopped';
drop table projector_lease;
