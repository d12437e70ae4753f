create or replace view analytics.command with (security_invoker = true) as
select tenant, id, category, stream, position, version, events, principal, at
from {table};
grant select on analytics.command to ledgerline_analyst;
comment on view analytics.command is 'one row a command that was committed under an id that can come again: one with an idempotency key, or of the reactor';
comment on column analytics.command.stream is 'the id of the aggregate that it changed';
comment on column analytics.command.position is 'where its commit stands in the journal';
comment on column analytics.command.version is 'how many events the aggregate had with it';
comment on column analytics.command.events is 'the names of its events';
