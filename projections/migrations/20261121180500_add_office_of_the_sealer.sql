-- Why: one process at a time seals the journal, apart from the other offices.

insert into office (name) values ('sealer');
