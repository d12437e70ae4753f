-- One row at least, which carries the position; the statement sees both at one moment.
select c.tenant, c.id, c.category, c.stream, c.position, c.version, c.events, c.request,
       c.principal, c.at, p.read_to
from (select case m.status when 'live' then r.position else m.position end as read_to
      from projection m, read_side r where m.name = 'command') p
left join (
    select c.* from unnest($1::text[], $2::uuid[]) as k (tenant, id)
    join command c on c.tenant = k.tenant and c.id = k.id
) c on true
