-- What each queue of a tenant has, and how it fared: $1 the tenant, $2 the present time, $3 of how many
-- jobs that ended last the percentiles are, $4 of how many queues, by name.
with counted as (
    select queue,
           count(*) filter (where status = 'waiting') as waiting,
           count(*) filter (where status = 'running') as running,
           count(*) filter (where status = 'completed') as completed,
           count(*) filter (where status = 'dead') as dead,
           count(*) filter (where status = 'cancelled') as cancelled
    from job where tenant = $1
    group by queue order by queue limit $4
), oldest as (
    -- What waits for a later time does not wait yet.
    select queue, min(greatest(enqueued_at, ready_at)) as waiting_since
    from job where tenant = $1 and status = 'waiting' and (ready_at is null or ready_at <= $2)
    group by queue
), enqueued as (
    select queue, count(*) as jobs
    from job where tenant = $1 and enqueued_at > $2 - interval '1 minute' and enqueued_at <= $2
    group by queue
), minute as (
    select queue,
           count(*) filter (where status = 'completed') as completed,
           count(*) filter (where status = 'dead') as failed
    from job where tenant = $1 and ended_at > $2 - interval '1 minute' and ended_at <= $2
    group by queue
), latest as (
    select queue, wait_ms, case status when 'completed' then ended_at - started_at end as ran
    from job where tenant = $1 and ended_at > $2 - interval '1 hour' and ended_at <= $2
    order by ended_at desc, id desc limit $3
), hour as (
    select queue,
           percentile_disc(array[0.5, 0.99]) within group (order by wait_ms) as wait_ms,
           percentile_disc(array[0.5, 0.99])
               within group (order by (extract(epoch from ran) * 1000)::bigint) as run_ms
    from latest group by queue
)
select c.queue, c.waiting, c.running, c.completed, c.dead, c.cancelled, o.waiting_since,
       coalesce(e.jobs, 0) as minute_enqueued, coalesce(m.completed, 0) as minute_completed,
       coalesce(m.failed, 0) as minute_failed, h.wait_ms, h.run_ms
from counted c
    left join oldest o using (queue) left join enqueued e using (queue)
    left join minute m using (queue) left join hour h using (queue)
order by c.queue
