create or replace view analytics.assignment with (security_invoker = true) as
select tenant, id, title, description, kind, status, group_name, requester, assignee, priority,
       labels, window_start, window_end, effort_minutes, external_ref, outcome, hold_reason,
       requested_at, updated_at, since, hand_overs, notes, version, position
from {table};
grant select on analytics.assignment to ledgerline_analyst;
comment on view analytics.assignment is 'one row an assignment, as it stands now';
comment on column analytics.assignment.status is 'queued, assigned, in_progress, on_hold, completed, closed or cancelled';
comment on column analytics.assignment.group_name is 'the group it lies in';
comment on column analytics.assignment.assignee is 'who has it; null while it waits in a queue';
comment on column analytics.assignment.priority is '1, the most pressing, to 5';
comment on column analytics.assignment.labels is 'what else it is found by, as an object of texts';
comment on column analytics.assignment.outcome is 'what the last completion brought; null before, and after a reopening';
comment on column analytics.assignment.hold_reason is 'why it waits; null unless it is on hold';
comment on column analytics.assignment.requested_at is 'when it was asked for, which may be before it was recorded';
comment on column analytics.assignment.updated_at is 'the latest time at which anything of it happened';
comment on column analytics.assignment.since is 'when its present standing (status, group, assignee) began';
comment on column analytics.assignment.hand_overs is 'how often it went from one person straight to another';
comment on column analytics.assignment.version is 'how many events it has had';
comment on column analytics.assignment.position is 'where its last commit stands in the journal';
