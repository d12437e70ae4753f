select r.position as read_side, m.name, m.version, m.status, m.error, m.rebuild_position,
       case m.status when 'live' then r.position else m.position end as position
from read_side r left join projection m on true
order by m.name
