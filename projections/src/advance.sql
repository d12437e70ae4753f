update read_side set position = $2, updated_at = now()
where position = $1 and term = $3
returning pg_notify('read_side', position::text), extract(epoch from clock_timestamp())::float8 as now
