create or replace view analytics.workload with (security_invoker = true) as
select tenant, dimension, name, queued + assigned as open, in_progress, on_hold,
       completed + closed as completed, cancelled, hand_overs,
       queued_us / 1e6 as queued_seconds, assigned_us / 1e6 as assigned_seconds,
       in_progress_us / 1e6 as in_progress_seconds, on_hold_us / 1e6 as on_hold_seconds,
       completed_us / 1e6 as completed_seconds, closed_us / 1e6 as closed_seconds,
       cancelled_us / 1e6 as cancelled_seconds
from {table};
grant select on analytics.workload to ledgerline_analyst;
comment on view analytics.workload is 'one row a person and one a group: what they have, and what time it took them';
comment on column analytics.workload.dimension is 'person or group';
comment on column analytics.workload.open is 'how many assignments wait or are assigned now';
comment on column analytics.workload.completed is 'how many are completed now, confirmed or not';
comment on column analytics.workload.hand_overs is 'how often work was handed over from here straight to somebody else';
comment on column analytics.workload.queued_seconds is 'time spent in this state, in periods that have ended; the same for the other states';
