//! Who is calling: tokens, keys, roles, and the [`Caller`] that a handler sees.
//!
//! Everything about a caller comes from the token: a body names nobody as the one who did it. Which
//! role may use which route stands in one table, [`crate::routes::ROUTES`]; this module does not
//! know any route.

mod keys;
mod origins;
mod roles;
#[cfg(test)]
mod tests;
mod tokens;

use std::fmt;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use domain::{Name, Tenant};
use serde::{Deserialize, Serialize};

pub use self::keys::{KeyError, Keys, SigningKey};
pub use self::origins::{AllowedOrigins, InvalidOrigin};
pub use self::roles::{Role, Roles, UnknownRole};
pub use self::tokens::{AUDIENCE, Grant, ISSUER, MintError, TokenError, Verifier, mint};
use crate::problem::ApiError;

/// Roles that may act for somebody else: an import, or an operator on the phone.
const ON_BEHALF: Roles = Roles::of(&[Role::Admin, Role::Operator]);

/// Whoever sent the request, as the token says.
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "Inner", into = "Inner")]
pub struct Caller(Arc<Inner>);

#[derive(Clone, Serialize, Deserialize)]
struct Inner {
    kid: Box<str>,
    principal: Name,
    tenant: Tenant,
    roles: Roles,
    not_before_s: i64,
    expires_at_s: i64,
}

impl Caller {
    fn new(
        kid: &str,
        principal: Name,
        tenant: Tenant,
        roles: Roles,
        not_before_s: i64,
        expires_at_s: i64,
    ) -> Self {
        Self(Arc::new(Inner {
            kid: kid.into(),
            principal,
            tenant,
            roles,
            not_before_s,
            expires_at_s,
        }))
    }

    /// The subject of the token.
    #[must_use]
    pub fn principal(&self) -> &Name {
        &self.0.principal
    }

    /// Whose data the caller works on.
    #[must_use]
    pub fn tenant(&self) -> &Tenant {
        &self.0.tenant
    }

    /// What the caller may do.
    #[must_use]
    pub fn roles(&self) -> Roles {
        self.0.roles
    }

    /// Whether the caller may name somebody else as the one for whom it acts.
    #[must_use]
    pub fn may_act_on_behalf(&self) -> bool {
        self.0.roles.meets(ON_BEHALF)
    }
}

impl From<Inner> for Caller {
    fn from(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }
}

impl From<Caller> for Inner {
    fn from(caller: Caller) -> Self {
        Arc::unwrap_or_clone(caller.0)
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("principal", &self.0.principal)
            .field("tenant", &self.0.tenant)
            .field("roles", &self.0.roles)
            .finish_non_exhaustive()
    }
}

/// The caller that the route's authorisation has let in.
impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        // Only a public route comes here without one, and none of those asks for a caller.
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or(ApiError::Unauthenticated(TokenError::Missing))
    }
}

/// The token of the `Authorization` header, if there is exactly one of the scheme `Bearer`.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&str, TokenError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(TokenError::Missing);
    };
    let value = value.to_str().map_err(|_| TokenError::Malformed)?;
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        Some(_) | None => Err(TokenError::Missing),
    }
}
