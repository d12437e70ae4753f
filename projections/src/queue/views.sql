create or replace view analytics.queue with (security_invoker = true) as
select tenant, name, limits, paused, reason, version, position, changed_at
from {table};
grant select on analytics.queue to ledgerline_analyst;
comment on view analytics.queue is 'one row a queue that anything was said of: limits set, paused or resumed';
comment on column analytics.queue.limits is 'running_max, running_per_key_max, rate; what is not there is not limited';
comment on column analytics.queue.paused is 'whether it hands out nothing';
comment on column analytics.queue.reason is 'why it is paused; null unless it is';
comment on column analytics.queue.version is 'how many events it has had';
comment on column analytics.queue.position is 'where its last commit stands in the journal';
comment on column analytics.queue.changed_at is 'when anything was last said of it';
