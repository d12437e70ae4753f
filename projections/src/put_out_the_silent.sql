-- Ends the session that holds the lock of an office, where its beat has stopped.
select pg_terminate_backend(l.pid)
from pg_locks l, office o
where l.locktype = 'advisory'
  and l.database = (select oid from pg_database where datname = current_database())
  and l.classid::bigint = $1 and l.objid::bigint = $2 and l.objsubid = 2
  and l.granted
  and o.name = $4
  and o.beat_at < clock_timestamp() - make_interval(secs => $3)
