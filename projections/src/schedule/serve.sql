-- The default order of the list, and what is due next. There are few schedules beside their jobs: every
-- other filter looks through these.
create index on {table} (tenant, created_at, id);
create index on {table} (tenant, next_at, id) where next_at is not null;
alter table {table} enable row level security;
create policy one_tenant on {table} for select to ledgerline_api
    using (tenant = current_setting('ledgerline.tenant', true));
create policy granted_tenants on {table} for select to ledgerline_analyst
    using (tenant in (select g.tenant from analyst_tenant g where g.role_name = current_user));
grant select on {table} to ledgerline_api, ledgerline_analyst;
comment on table {table} is 'one row a schedule, as it stands now';
