-- Why: a ticket that one process has given is good at every other, so that nobody has to send both requests to
-- the same one. It lives for seconds: what a crash takes is asked for again, so nothing waits for the disk.

create unlogged table ticket (
    hash          bytea primary key,
    tenant        text not null,
    principal     text not null,
    stands_for    text not null,
    expires_at_us bigint not null
);
comment on table ticket is 'what stands for a token once, by its hash';
comment on column ticket.expires_at_us is 'microseconds since 1970';
