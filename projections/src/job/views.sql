create or replace view analytics.job with (security_invoker = true) as
select tenant, id, queue, kind, (array['critical', 'high', 'normal', 'low'])[priority + 1] as priority,
       status, attempt, failures, worker, enqueued_at, ready_at, started_at, ended_at, deadline,
       timeout_s, fairness_key, capabilities, labels, parent_kind, parent_id, percent, message, error,
       death, wait_ms, payload, result, retry, version, position, principal
from {table};
grant select on analytics.job to ledgerline_analyst;
comment on view analytics.job is 'one row a job, as it stands now';
comment on column analytics.job.kind is 'the sort of work';
comment on column analytics.job.priority is 'critical, high, normal or low';
comment on column analytics.job.status is 'waiting, running, completed, dead or cancelled';
comment on column analytics.job.attempt is 'the number of the last attempt; 0 before the first';
comment on column analytics.job.failures is 'how many attempts failed or timed out since it was enqueued or put back';
comment on column analytics.job.worker is 'who has it; null unless it runs';
comment on column analytics.job.ready_at is 'it is not handed out before; null: at once';
comment on column analytics.job.started_at is 'when the last attempt began';
comment on column analytics.job.ended_at is 'when it was completed, dead or cancelled; null before';
comment on column analytics.job.timeout_s is 'how many seconds one attempt may run';
comment on column analytics.job.fairness_key is 'jobs of one key share a limit, and take turns with those of others';
comment on column analytics.job.capabilities is 'what a worker must be able to do, as a list of texts';
comment on column analytics.job.labels is 'what else it is found by, as an object of texts';
comment on column analytics.job.parent_kind is 'batch, run or schedule; null where it is no part of anything';
comment on column analytics.job.percent is 'how far its worker is; null unless it runs and said so';
comment on column analytics.job.message is 'what its worker does; null unless it runs and said so';
comment on column analytics.job.error is 'what the last failure was';
comment on column analytics.job.death is 'why it is dead; null unless it is';
comment on column analytics.job.wait_ms is 'milliseconds from when it could be handed out to its first start';
comment on column analytics.job.payload is 'what the worker needs to know: JSON, as it was written';
comment on column analytics.job.result is 'what came of it: JSON, as it was written';
comment on column analytics.job.retry is 'what follows a failure';
comment on column analytics.job.version is 'how many events it has had';
comment on column analytics.job.position is 'where its last commit stands in the journal';
comment on column analytics.job.principal is 'who enqueued it';
