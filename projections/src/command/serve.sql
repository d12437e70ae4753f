create index on {table} (position);
alter table {table} enable row level security;
create policy one_tenant on {table} for select to ledgerline_api
    using (tenant = current_setting('ledgerline.tenant', true));
create policy granted_tenants on {table} for select to ledgerline_analyst
    using (tenant in (select g.tenant from analyst_tenant g where g.role_name = current_user));
grant select on {table} to ledgerline_api, ledgerline_analyst;
comment on table {table} is 'one row a command that was committed under an id that can come again: one with an idempotency key, or of the reactor';
