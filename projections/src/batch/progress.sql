-- How far the jobs of a batch are: $1 the tenant, $2 the batch's id. One look into the index on parents.
select count(*) filter (where status = 'waiting') as waiting,
       count(*) filter (where status = 'running') as running,
       count(*) filter (where status = 'completed') as succeeded,
       count(*) filter (where status = 'dead') as dead,
       count(*) filter (where status = 'cancelled') as cancelled,
       min(enqueued_at) as first_enqueued_at,
       max(ended_at) as last_ended_at
from job where tenant = $1 and parent_kind = 'batch' and parent_id = $2
