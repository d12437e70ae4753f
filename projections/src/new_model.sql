insert into projection (name, version, position, status, error) values ($1, $2, 0, $3, $4)
