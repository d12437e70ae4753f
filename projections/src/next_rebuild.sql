select name from projection where rebuild_requested and name = any($1) order by name limit 1
