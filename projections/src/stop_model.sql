update projection set status = 'stopped', position = $2, error = $3, updated_at = now()
where name = $1 and exists (select from moved)
