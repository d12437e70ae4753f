-- The order of the list. There are few batches beside their jobs: every filter looks through these.
create index on {table} (tenant, opened_at, id);
alter table {table} enable row level security;
create policy one_tenant on {table} for select to ledgerline_api
    using (tenant = current_setting('ledgerline.tenant', true));
create policy granted_tenants on {table} for select to ledgerline_analyst
    using (tenant in (select g.tenant from analyst_tenant g where g.role_name = current_user));
grant select on {table} to ledgerline_api, ledgerline_analyst;
comment on table {table} is 'one row a batch of jobs, as it stands now';
