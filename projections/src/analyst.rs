//! Analysts: login roles that read the views of `analytics`, confined to the tenants granted to them.

use domain::Tenant;
use sqlx::postgres::PgPool;

use crate::query::QueryError;
use crate::table::safe;

/// Why an analyst could not be let in.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// The login is no name that we give to roles.
    #[error("login must be 1 to 40 of `a-z 0-9 _` and begin with a letter")]
    Login,
    /// The password holds a NUL or is empty.
    #[error("password must not be empty or hold a NUL")]
    Password,
    /// The login is that of a role which is no analyst.
    #[error("role `{0}` exists and is no analyst")]
    Taken(String),
    /// The database refused.
    #[error("grant")]
    Database(#[from] QueryError),
}

/// Lets the role `login` in with `password`, and shows it the rows of `tenant` besides those that it
/// may see already. The role is created where there is none.
///
/// # Errors
/// When the login or the password cannot be used, or the database refuses.
pub async fn grant(
    pool: &PgPool,
    login: &str,
    password: &str,
    tenant: &Tenant,
) -> Result<(), GrantError> {
    check(login, password)?;
    let mut tx = pool.begin().await.map_err(QueryError::from)?;
    let analyst: Option<bool> = sqlx::query_scalar(
        "select pg_has_role(r.oid, 'ledgerline_analyst', 'member') and not r.rolsuper \
         from pg_roles r where r.rolname = $1",
    )
    .bind(login)
    .fetch_optional(&mut *tx)
    .await
    .map_err(QueryError::from)?;
    let verb = match analyst {
        None => "create",
        Some(true) => "alter",
        Some(false) => return Err(GrantError::Taken(login.to_owned())),
    };
    // Roles take no bound parameters: the login has only plain characters, the password is quoted by
    // Postgres itself.
    let quoted: String = sqlx::query_scalar("select quote_literal($1)")
        .bind(password)
        .fetch_one(&mut *tx)
        .await
        .map_err(QueryError::from)?;
    let role = safe(format!("{verb} role {login} login password {quoted}"));
    sqlx::raw_sql(role)
        .execute(&mut *tx)
        .await
        .map_err(QueryError::from)?;
    let member = safe(format!("grant ledgerline_analyst to {login}"));
    sqlx::raw_sql(member)
        .execute(&mut *tx)
        .await
        .map_err(QueryError::from)?;
    sqlx::query(
        "insert into analyst_tenant (role_name, tenant) values ($1, $2) on conflict do nothing",
    )
    .bind(login)
    .bind(tenant.as_str())
    .execute(&mut *tx)
    .await
    .map_err(QueryError::from)?;
    tx.commit().await.map_err(QueryError::from)?;
    Ok(())
}

fn check(login: &str, password: &str) -> Result<(), GrantError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let begins = login.starts_with(|c: char| c.is_ascii_lowercase());
    if !begins || login.len() > 40 || !login.chars().all(plain) {
        return Err(GrantError::Login);
    }
    if password.is_empty() || password.contains('\0') {
        return Err(GrantError::Password);
    }
    Ok(())
}
