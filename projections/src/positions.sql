select r.position as read_side, m.name, m.version, m.status, m.error,
       -- A rebuild that was asked for counts as begun: whoever waits for its end must not see the old table as it.
       coalesce(m.rebuild_position, case when m.rebuild_requested then 0 end) as rebuild_position,
       case m.status when 'live' then r.position else m.position end as position
from read_side r left join projection m on true
order by m.name
