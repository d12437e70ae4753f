-- What serves is left; a stopped model says what the rebuild met.
update projection
set rebuild_position = null, rebuild_requested = false, updated_at = now(),
    error = case status when 'stopped' then $2 else error end
where name = $1
