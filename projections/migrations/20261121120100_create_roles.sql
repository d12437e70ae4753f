-- Why: row-level security is the second wall between tenants. It holds for roles that own no
-- table, so queries of the API and of analysts each run as a role of their own.

do $$
declare
    wanted text;
begin
    foreach wanted in array array['ledgerline_api', 'ledgerline_analyst'] loop
        if not exists (select from pg_roles where rolname = wanted) then
            begin
                execute format('create role %I nologin', wanted);
            exception when duplicate_object or unique_violation then
                -- Roles belong to the whole server: another database of it was faster.
                null;
            end;
        end if;
    end loop;
    -- The service takes the role of the API for each query. A superuser may without a grant.
    if not (select rolsuper from pg_roles where rolname = current_user) then
        execute format('grant ledgerline_api to %I', current_user);
    end if;
end
$$;

grant select on read_side, projection to ledgerline_api;

create table analyst_tenant (
    role_name text not null,
    tenant    text not null,
    primary key (role_name, tenant)
);
comment on table analyst_tenant is 'which tenants a login role of an analyst may read';
alter table analyst_tenant enable row level security;
create policy own_grants on analyst_tenant for select to ledgerline_analyst
    using (role_name = current_user);
grant select on analyst_tenant to ledgerline_analyst;

-- Analysts read these views and nothing else by name: the tables below may change, views do not.
-- An analyst is a login role in the group `ledgerline_analyst` with rows in `analyst_tenant`:
--   create role ann login password '…' in role ledgerline_analyst;
--   insert into analyst_tenant values ('ann', 'default');
create schema analytics;
comment on schema analytics is 'stable, documented views for analysts; each shows the tenants granted in analyst_tenant';
grant usage on schema analytics to ledgerline_analyst;
