create or replace view analytics.batch with (security_invoker = true) as
select tenant, id, name, status, jobs, on_complete, labels, opened_at, closed_at, completed_at, succeeded,
       dead, cancelled, version, position, principal
from {table};
grant select on analytics.batch to ledgerline_analyst;
comment on view analytics.batch is 'one row a batch of jobs, as it stands now; its jobs have parent_kind batch and its id as parent_id';
comment on column analytics.batch.name is 'what people call it';
comment on column analytics.batch.status is 'open, closed or completed';
comment on column analytics.batch.jobs is 'how many jobs it has; null until that is said';
comment on column analytics.batch.on_complete is 'the job that follows when all of its jobs have ended, as JSON';
comment on column analytics.batch.labels is 'what else it is found by, as an object of texts';
comment on column analytics.batch.closed_at is 'when the number of its jobs was said';
comment on column analytics.batch.completed_at is 'when all of its jobs had ended';
comment on column analytics.batch.succeeded is 'how many jobs were done when it was completed; null before';
comment on column analytics.batch.dead is 'how many jobs were dead when it was completed; null before';
comment on column analytics.batch.cancelled is 'how many jobs were cancelled when it was completed; null before';
comment on column analytics.batch.version is 'how many events it has had';
comment on column analytics.batch.position is 'where its last commit stands in the journal';
comment on column analytics.batch.principal is 'who opened it';
