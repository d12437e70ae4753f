update projection
set version = $2, status = $3, position = $4, error = $5,
    rebuild_position = null, rebuild_requested = false, updated_at = now()
where name = $1
