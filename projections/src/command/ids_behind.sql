-- One row at least, which carries how far the model has read; the statement sees both at one moment.
select c.id, c.position, p.read_to
from (select case m.status when 'live' then r.position else m.position end as read_to
      from projection m, read_side r where m.name = 'command') p
left join (
    select id, position from command where position > $1 order by position limit $2
) c on true
order by c.position
