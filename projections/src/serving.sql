select m.status, case m.status when 'live' then r.position else m.position end as position
from projection m, read_side r where m.name = $1
