//! Tokens: JWT signed with Ed25519, checked here and nowhere else.
//!
//! Order of the checks: size, header (`typ`, `alg`, `crit`, `kid`), signature, issuer and audience,
//! times, subject, tenant, roles. Nothing of a token is believed before its signature is.
//!
//! A signature costs about 100 µs, so tokens that passed are remembered by their BLAKE3 hash until
//! they expire or the keys change. The token itself is neither kept nor logged.

use std::sync::{Arc, PoisonError, RwLock};

use commands::Clock;
use domain::{Name, Tenant, Timestamp};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Header, Validation};
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};

use super::{Caller, Keys, Role, SigningKey};

/// Who signs our tokens.
pub const ISSUER: &str = "ledgerline";
/// Whom our tokens are for.
pub const AUDIENCE: &str = "ledgerline-api";

/// A token larger than this is not looked at: ours have 400 bytes, and hashing is work as well.
const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// How far the clocks of the signer and of this machine may lie apart.
const LEEWAY_S: i64 = 5;
/// How many tokens are remembered, about 300 bytes each: more than there are callers in an hour.
const VERIFIED_MAX: usize = 10_000;

/// Checks tokens.
pub struct Verifier {
    validation: Validation,
    clock: Arc<dyn Clock>,
    keys: RwLock<Current>,
    verified: Cache<[u8; 32], Verified>,
}

/// Why a token was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There is none.
    #[error("there is no bearer token")]
    Missing,
    /// It is no JWT, or too large.
    #[error("token is malformed")]
    Malformed,
    /// Its header asks for something that is not done here.
    #[error("token has a `{0}` that is not taken")]
    Header(&'static str),
    /// No key in force has its `kid`.
    #[error("token is signed by an unknown key")]
    UnknownKey,
    /// Its signature is not the key's.
    #[error("token has a wrong signature")]
    Signature,
    /// A claim is missing or not of its form.
    #[error("token has a missing or wrong claim `{0}`")]
    Claim(&'static str),
    /// It was valid once.
    #[error("token has expired")]
    Expired,
    /// It will be valid later.
    #[error("token is not valid yet")]
    NotYetValid,
    /// A ticket was sent that is not good for this.
    #[error("ticket is unknown, was used, has expired or is for another path")]
    Ticket,
}

/// What a token is to say.
#[derive(Debug, Clone)]
pub struct Grant {
    /// To whom.
    pub principal: Name,
    /// In which tenant.
    pub tenant: Tenant,
    /// To do what.
    pub roles: Vec<Role>,
    /// From when.
    pub not_before: Timestamp,
    /// Until when.
    pub expires_at: Timestamp,
}

/// A token could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("sign a token")]
pub struct MintError(#[source] jsonwebtoken::errors::Error);

struct Current {
    keys: Keys,
    generation: u64,
}

#[derive(Clone)]
struct Verified {
    caller: Caller,
    generation: u64,
}

/// Numbers are integers: a time as text is a wrong claim, not a lenient one.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: serde_json::Value,
    sub: String,
    tenant: String,
    roles: Vec<String>,
    exp: i64,
    nbf: i64,
    iat: i64,
}

/// Signs a token that says what `grant` says.
///
/// # Errors
/// When the key cannot sign.
pub fn mint(key: &SigningKey, grant: &Grant) -> Result<String, MintError> {
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some(key.kid.clone());
    let claims = Claims {
        iss: ISSUER.to_owned(),
        aud: AUDIENCE.into(),
        sub: grant.principal.to_string(),
        tenant: grant.tenant.to_string(),
        roles: grant
            .roles
            .iter()
            .map(|role| role.as_str().to_owned())
            .collect(),
        exp: grant.expires_at.as_second(),
        nbf: grant.not_before.as_second(),
        iat: grant.not_before.as_second(),
    };
    jsonwebtoken::encode(&header, &claims, &key.key).map_err(MintError)
}

impl Verifier {
    /// A verifier for tokens of our own issuer and audience, signed by one of `keys`.
    #[must_use]
    pub fn new(keys: Keys, clock: Arc<dyn Clock>) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        // Times are checked below, against the clock that everything else goes by.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Self {
            validation,
            clock,
            keys: RwLock::new(Current {
                keys,
                generation: 0,
            }),
            verified: Cache::new(VERIFIED_MAX),
        }
    }

    /// Puts `keys` in the place of the present ones; a token of a key that is gone is refused from
    /// the next request on.
    pub fn replace_keys(&self, keys: Keys) {
        let mut current = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        current.keys = keys;
        current.generation += 1;
    }

    /// Who it is that sent `token`.
    ///
    /// # Errors
    /// The first check that failed.
    pub fn verify(&self, token: &str) -> Result<Caller, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Malformed);
        }
        let hash = *blake3::hash(token.as_bytes()).as_bytes();
        let current = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        match self.verified.get(&hash) {
            Some(verified) if verified.generation == current.generation => {
                self.check_times(&verified.caller)?;
                return Ok(verified.caller);
            }
            Some(_) | None => {}
        }
        let caller = self.check(token, &current.keys)?;
        let generation = current.generation;
        drop(current);
        self.verified.insert(
            hash,
            Verified {
                caller: caller.clone(),
                generation,
            },
        );
        Ok(caller)
    }

    /// Whether a caller who was let in may stay: the token has not expired and its key is in force.
    #[must_use]
    pub fn is_still_valid(&self, caller: &Caller) -> bool {
        let current = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        current.keys.get(&caller.0.kid).is_some() && self.check_times(caller).is_ok()
    }

    fn check(&self, token: &str, keys: &Keys) -> Result<Caller, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|error| token_error(&error))?;
        let kid = check_header(&header)?;
        let key = keys.get(kid).ok_or(TokenError::UnknownKey)?;
        let claims = jsonwebtoken::decode::<Claims>(token, key, &self.validation)
            .map_err(|error| token_error(&error))?
            .claims;
        let caller = caller(kid, claims)?;
        self.check_times(&caller)?;
        Ok(caller)
    }

    fn check_times(&self, caller: &Caller) -> Result<(), TokenError> {
        let now = self.clock.now().as_second();
        if caller.0.expires_at_s.saturating_add(LEEWAY_S) <= now {
            return Err(TokenError::Expired);
        }
        if caller.0.not_before_s.saturating_sub(LEEWAY_S) > now {
            return Err(TokenError::NotYetValid);
        }
        Ok(())
    }
}

fn check_header(header: &Header) -> Result<&str, TokenError> {
    if header.alg != Algorithm::EdDSA {
        return Err(TokenError::Header("alg"));
    }
    let typ = header.typ.as_deref().unwrap_or_default();
    if !typ.eq_ignore_ascii_case("JWT") && !typ.eq_ignore_ascii_case("at+jwt") {
        return Err(TokenError::Header("typ"));
    }
    // RFC 7515, 4.1.11: what we do not understand and must, we refuse.
    if header.crit.is_some() {
        return Err(TokenError::Header("crit"));
    }
    header.kid.as_deref().ok_or(TokenError::Header("kid"))
}

fn caller(kid: &str, claims: Claims) -> Result<Caller, TokenError> {
    let principal = Name::new(claims.sub).map_err(|_| TokenError::Claim("sub"))?;
    let tenant = Tenant::new(&claims.tenant).map_err(|_| TokenError::Claim("tenant"))?;
    let roles = claims
        .roles
        .iter()
        .map(|role| role.parse::<Role>())
        .collect::<Result<_, _>>();
    let roles = roles.map_err(|_| TokenError::Claim("roles"))?;
    Ok(Caller::new(
        kid, principal, tenant, roles, claims.nbf, claims.exp,
    ))
}

fn token_error(error: &jsonwebtoken::errors::Error) -> TokenError {
    match error.kind() {
        ErrorKind::InvalidSignature => TokenError::Signature,
        ErrorKind::InvalidIssuer => TokenError::Claim("iss"),
        ErrorKind::InvalidAudience => TokenError::Claim("aud"),
        ErrorKind::InvalidAlgorithm => TokenError::Header("alg"),
        ErrorKind::MissingRequiredClaim(claim) => TokenError::Claim(match claim.as_str() {
            "exp" => "exp",
            "nbf" => "nbf",
            "iss" => "iss",
            "aud" => "aud",
            _ => "sub",
        }),
        // The rest are ways of not being a token of ours at all.
        _ => TokenError::Malformed,
    }
}
