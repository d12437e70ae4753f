create or replace view analytics.schedule with (security_invoker = true) as
select tenant, id, name, status, recurrence, line, time_zone, queue, kind, labels, spec, payload, next_at,
       last_fired_at, last_job, last_ended_job, last_outcome, last_ended_at, running, queued, failures,
       fired, skipped, succeeded, failed, cancelled, pause_cause, pause_reason, created_at, changed_at,
       version, position, principal
from {table};
grant select on analytics.schedule to ledgerline_analyst;
comment on view analytics.schedule is 'one row a schedule, as it stands now';
comment on column analytics.schedule.status is 'active, paused or deleted';
comment on column analytics.schedule.recurrence is 'cron, every or once';
comment on column analytics.schedule.line is 'the cron line; null where there is none';
comment on column analytics.schedule.time_zone is 'in whose time the cron line is; null where there is none';
comment on column analytics.schedule.queue is 'the queue of its jobs';
comment on column analytics.schedule.kind is 'the sort of work of its jobs';
comment on column analytics.schedule.labels is 'the labels of its jobs, as an object of texts';
comment on column analytics.schedule.spec is 'what it enqueues and when, without the payload';
comment on column analytics.schedule.payload is 'the payload of its jobs: JSON, as it was written';
comment on column analytics.schedule.next_at is 'the next time to decide on; null while it decides on nothing';
comment on column analytics.schedule.last_fired_at is 'the time that was fired last';
comment on column analytics.schedule.last_job is 'the job that was fired last';
comment on column analytics.schedule.last_ended_job is 'the job that ended last';
comment on column analytics.schedule.last_outcome is 'how it ended: succeeded, failed or cancelled';
comment on column analytics.schedule.last_ended_at is 'when that was recorded';
comment on column analytics.schedule.running is 'jobs that have not ended';
comment on column analytics.schedule.queued is 'times that wait for the end of what runs';
comment on column analytics.schedule.failures is 'failures in a row';
comment on column analytics.schedule.fired is 'jobs that were enqueued, ever';
comment on column analytics.schedule.skipped is 'times that were left out, ever';
comment on column analytics.schedule.succeeded is 'jobs that were done, ever';
comment on column analytics.schedule.failed is 'jobs that died, ever';
comment on column analytics.schedule.cancelled is 'jobs that were cancelled, ever';
comment on column analytics.schedule.pause_cause is 'asked or failures; null unless it is paused';
comment on column analytics.schedule.pause_reason is 'what was said of the pause';
comment on column analytics.schedule.changed_at is 'when it was last created, changed, paused, resumed or deleted';
comment on column analytics.schedule.version is 'how many events it has had';
comment on column analytics.schedule.position is 'where its last commit stands in the journal';
comment on column analytics.schedule.principal is 'who created it';
