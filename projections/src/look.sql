-- Confines the transaction to one tenant and a time, and tells how far the model had read.
select set_config('role', 'ledgerline_api', true),
       set_config('ledgerline.tenant', $1, true),
       set_config('statement_timeout', $2, true),
       coalesce(
           (select case m.status when 'live' then r.position else m.position end
            from projection m where m.name = $3),
           0
       ) as position
from read_side r
