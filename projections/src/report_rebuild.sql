with reported as (update projection set rebuild_position = $2 where name = $1)
select position from read_side where term = $3
