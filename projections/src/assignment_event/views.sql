create or replace view analytics.assignment_event with (security_invoker = true) as
select tenant, id, version, position, index, type, v, data::jsonb as data, at,
       coalesce(occurred_at, at) as happened_at, principal, on_behalf_of, command, correlation, causation
from {table};
grant select on analytics.assignment_event to ledgerline_analyst;
comment on view analytics.assignment_event is 'one row an event of an assignment: the audit trail';
comment on column analytics.assignment_event.id is 'the assignment';
comment on column analytics.assignment_event.version is 'how many events the assignment has had with this one';
comment on column analytics.assignment_event.position is 'where the commit stands in the journal';
comment on column analytics.assignment_event.index is 'which event of the commit, from 0';
comment on column analytics.assignment_event.v is 'the version of the shape of data';
comment on column analytics.assignment_event.at is 'when it was recorded';
comment on column analytics.assignment_event.happened_at is 'when it happened';
comment on column analytics.assignment_event.principal is 'who did it';
comment on column analytics.assignment_event.on_behalf_of is 'for whom, where somebody acted for another';
comment on column analytics.assignment_event.correlation is 'what ties commands of one errand together';
comment on column analytics.assignment_event.causation is 'the event that led to it, <position>.<index>';
