-- Every job that waits or runs, in the order in which jobs are handed out that are of equal right: by
-- when they could be, then by the commit that made them wait. Each tenant is looked up in turn, since
-- the index on states begins with it: one jump a tenant, where a plain query would read the whole table.
with recursive owner as (
    (select tenant from job order by tenant limit 1)
    union all
    select (select j.tenant from job j where j.tenant > o.tenant order by j.tenant limit 1)
    from owner o where o.tenant is not null
)
select j.tenant, j.id, j.queue, j.kind, j.priority, j.status, j.attempt, j.ready_at, j.started_at,
       j.deadline, j.timeout_s, j.fairness_key, j.capabilities, j.retry
from owner o join job j on j.tenant = o.tenant and j.status in ('waiting', 'running')
order by coalesce(j.ready_at, j.enqueued_at), j.position, j.id
