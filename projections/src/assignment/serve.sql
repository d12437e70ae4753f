-- The default order of the list, the queue of a group, the work of a person, and the name elsewhere;
-- every other filter looks through the rows of one tenant.
create index on {table} (tenant, requested_at, id);
create index on {table} (tenant, group_name, status);
create index on {table} (tenant, assignee) where assignee is not null;
create index on {table} (tenant, external_ref) where external_ref is not null;
alter table {table} enable row level security;
create policy one_tenant on {table} for select to ledgerline_api
    using (tenant = current_setting('ledgerline.tenant', true));
create policy granted_tenants on {table} for select to ledgerline_analyst
    using (tenant in (select g.tenant from analyst_tenant g where g.role_name = current_user));
grant select on {table} to ledgerline_api, ledgerline_analyst;
comment on table {table} is 'one row an assignment, as it stands now';
