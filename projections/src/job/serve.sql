-- The default order of the list; what is in which state, and in which queue; what has ended lately; the
-- parts of a whole. Each is paid for three times a job; every other filter looks through these.
create index on {table} (tenant, enqueued_at, id);
create index on {table} (tenant, status, queue);
create index on {table} (tenant, ended_at, id) where ended_at is not null;
create index on {table} (tenant, parent_id, parent_kind) where parent_id is not null;
alter table {table} enable row level security;
create policy one_tenant on {table} for select to ledgerline_api
    using (tenant = current_setting('ledgerline.tenant', true));
create policy granted_tenants on {table} for select to ledgerline_analyst
    using (tenant in (select g.tenant from analyst_tenant g where g.role_name = current_user));
grant select on {table} to ledgerline_api, ledgerline_analyst;
comment on table {table} is 'one row a job, as it stands now';
