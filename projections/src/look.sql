-- Confines the transaction to one tenant, and tells how far the models had read.
select set_config('role', 'ledgerline_api', true),
       set_config('ledgerline.tenant', $1, true),
       coalesce(
           (select min(case m.status when 'live' then r.position else m.position end)
            from projection m where m.name = any($2)),
           0
       ) as position
from read_side r
