-- Keeps a ticket where there is room for it, and tells how many were unused before.
with expired as (
    delete from ticket where expires_at_us <= $6
),
unused as (
    select count(*) as of_all,
           count(*) filter (where tenant = $2 and principal = $3) as of_holder
    from ticket
    where expires_at_us > $6
),
kept as (
    insert into ticket (hash, tenant, principal, stands_for, expires_at_us)
    select $1, $2, $3, $4, $5 from unused where of_all < $7 and of_holder < $8
)
select of_all, of_holder from unused
