-- Ends the session that holds the lock, where its beat has stopped.
select pg_terminate_backend(l.pid)
from pg_locks l, projector_lease p
where l.locktype = 'advisory'
  and l.database = (select oid from pg_database where datname = current_database())
  and l.classid::bigint = $1 and l.objid::bigint = $2 and l.objsubid = 2
  and l.granted
  and p.beat_at < clock_timestamp() - make_interval(secs => $3)
