//! Attacks on tokens.

use std::sync::Arc;

use domain::{Name, Tenant};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::*;
use crate::testing::{NOON, TestClock, key_pair, time};

struct Case {
    clock: Arc<TestClock>,
    verifier: Verifier,
    private: String,
    public: String,
}

fn case() -> Case {
    let (private, public) = key_pair();
    let clock = Arc::new(TestClock::default());
    let keys = Keys::from_public_pems([("first", &public)]).expect("a public key");
    let verifier = Verifier::new(keys, Arc::clone(&clock) as _);
    Case {
        clock,
        verifier,
        private,
        public,
    }
}

/// The claims of a token that is valid for an hour from noon.
fn claims() -> Value {
    let noon = time(NOON).as_second();
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "tenant": "default", "roles": ["member"],
        "exp": noon + 3600, "nbf": noon, "iat": noon,
    })
}

fn header() -> Header {
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some("first".to_owned());
    header
}

impl Case {
    fn signed(&self, header: &Header, claims: &Value) -> String {
        let key = EncodingKey::from_ed_pem(self.private.as_bytes()).expect("a private key");
        jsonwebtoken::encode(header, claims, &key).expect("a key that signs")
    }

    fn verify_claims(&self, change: impl FnOnce(&mut Value)) -> Result<Caller, TokenError> {
        let mut claims = claims();
        change(&mut claims);
        self.verifier.verify(&self.signed(&header(), &claims))
    }

    fn verify_header(&self, change: impl FnOnce(&mut Header)) -> Result<Caller, TokenError> {
        let mut header = header();
        change(&mut header);
        self.verifier.verify(&self.signed(&header, &claims()))
    }
}

/// A token whose header and claims are written by hand.
fn forged(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| base64(value.to_string().as_bytes());
    format!("{}.{}.{signature}", part(header), part(claims))
}

/// Base64 for URLs, without padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let sextets = |chunk: &[u8]| {
        let bits = chunk
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        let digit = move |index: usize| ALPHABET[(bits >> (18 - 6 * index)) as usize & 63];
        (0..=chunk.len())
            .map(digit)
            .map(char::from)
            .collect::<String>()
    };
    bytes.chunks(3).map(sextets).collect()
}

#[test]
fn a_token_of_ours_says_who_it_is() {
    let case = case();
    let caller = case.verify_claims(|_| {}).expect("valid");
    assert_eq!(caller.principal().as_str(), "ada");
    assert_eq!(caller.tenant().as_str(), "default");
    assert_eq!(caller.roles(), Roles::of(&[Role::Member]));
    assert!(!caller.may_act_on_behalf());
    assert!(
        case.verify_header(|header| header.typ = Some("at+jwt".to_owned()))
            .is_ok()
    );
}

#[test]
fn what_is_minted_is_taken() {
    let case = case();
    let key = SigningKey::from_private_pem("first", &case.private).expect("a private key");
    let grant = Grant {
        principal: Name::new("ada").expect("a name"),
        tenant: Tenant::new("default").expect("a tenant"),
        roles: vec![Role::Admin],
        not_before: time(NOON),
        expires_at: time("2026-11-21T13:00:00Z"),
    };
    let token = mint(&key, &grant).expect("a key that signs");
    assert!(
        case.verifier
            .verify(&token)
            .expect("valid")
            .may_act_on_behalf()
    );
}

#[test]
fn a_token_without_a_signature_is_refused() {
    let case = case();
    for alg in ["none", "None", "NONE", ""] {
        let header = json!({"alg": alg, "typ": "JWT", "kid": "first"});
        for signature in ["", "AAAA"] {
            let token = forged(&header, &claims(), signature);
            assert_eq!(
                case.verifier.verify(&token).err(),
                Some(TokenError::Malformed)
            );
        }
    }
    let honest = case.signed(&header(), &claims());
    let (message, _) = honest.rsplit_once('.').expect("three parts");
    assert!(case.verifier.verify(message).is_err());
    assert!(case.verifier.verify(&format!("{message}.")).is_err());
}

#[test]
fn a_public_key_is_never_taken_as_a_secret() {
    let case = case();
    for alg in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let mut header = Header::new(alg);
        header.kid = Some("first".to_owned());
        let secret = EncodingKey::from_secret(case.public.as_bytes());
        let token = jsonwebtoken::encode(&header, &claims(), &secret).expect("a secret signs");
        assert_eq!(
            case.verifier.verify(&token).err(),
            Some(TokenError::Header("alg"))
        );
    }
}

#[test]
fn a_token_of_another_issuer_or_audience_is_refused() {
    let case = case();
    for (claim, values) in [
        (
            "iss",
            [json!("somebody"), json!(""), json!(null), json!(["x"])],
        ),
        (
            "aud",
            [
                json!("elsewhere"),
                json!([]),
                json!(null),
                json!(["x", "y"]),
            ],
        ),
    ] {
        for value in values {
            assert!(
                case.verify_claims(|claims| claims[claim] = value.clone())
                    .is_err(),
                "{value}"
            );
        }
    }
    assert!(
        case.verify_claims(|claims| claims["aud"] = json!([AUDIENCE, "x"]))
            .is_ok()
    );
}

#[test]
fn a_token_of_another_type_is_refused() {
    let case = case();
    for typ in [None, Some("dpop+jwt"), Some("logout+jwt"), Some("")] {
        let refused = case.verify_header(|header| header.typ = typ.map(str::to_owned));
        assert_eq!(refused.err(), Some(TokenError::Header("typ")), "{typ:?}");
    }
}

#[test]
fn a_header_that_must_be_understood_and_is_not_is_refused() {
    let refused = case().verify_header(|header| header.crit = Some(vec!["exp".to_owned()]));
    assert_eq!(refused.err(), Some(TokenError::Header("crit")));
}

#[test]
fn a_kid_is_a_name_and_nothing_else() {
    let case = case();
    let kids = [
        "../keys/first",
        "/dev/null",
        "first.public.pem",
        "file:///dev/null",
        "FIRST",
        "first\0",
        "https://evil.example/keys",
        "' or 1=1 --",
        "",
        "first ",
    ];
    for kid in kids {
        let refused = case.verify_header(|header| header.kid = Some(kid.to_owned()));
        assert_eq!(refused.err(), Some(TokenError::UnknownKey), "{kid}");
    }
    let refused = case.verify_header(|header| header.kid = None);
    assert_eq!(refused.err(), Some(TokenError::Header("kid")));
}

#[test]
fn a_key_that_the_token_brings_along_is_not_looked_at() {
    let case = case();
    let (private, _) = key_pair();
    let mut header = header();
    header.jku = Some("https://evil.example/jwks.json".to_owned());
    header.x5u = Some("https://evil.example/x5u".to_owned());
    let key = EncodingKey::from_ed_pem(private.as_bytes()).expect("a private key");
    let token = jsonwebtoken::encode(&header, &claims(), &key).expect("a key that signs");
    assert_eq!(
        case.verifier.verify(&token).err(),
        Some(TokenError::Signature)
    );
}

#[test]
fn a_token_is_valid_from_its_beginning_to_its_end() {
    let case = case();
    let token = case.signed(&header(), &claims());
    for (now, expected) in [
        ("2026-11-21T11:59:54Z", Some(TokenError::NotYetValid)),
        ("2026-11-21T11:59:55Z", None),
        ("2026-11-21T13:00:04Z", None),
        ("2026-11-21T13:00:05Z", Some(TokenError::Expired)),
    ] {
        case.clock.set(now);
        // Once checked and once remembered.
        assert_eq!(case.verifier.verify(&token).err(), expected, "{now}");
        assert_eq!(case.verifier.verify(&token).err(), expected, "{now}");
    }
}

#[test]
fn a_time_is_a_number() {
    let case = case();
    let end = time(NOON).as_second() + 3600;
    for claim in ["exp", "nbf"] {
        for value in [
            json!(end.to_string()),
            json!(null),
            json!([end]),
            json!(1.5),
            json!(true),
        ] {
            let refused = case.verify_claims(|claims| claims[claim] = value.clone());
            assert!(refused.is_err(), "{claim}: {value}");
        }
        let without = case.verify_claims(|claims| {
            claims.as_object_mut().expect("an object").remove(claim);
        });
        assert!(without.is_err(), "{claim}");
    }
    assert!(
        case.verify_claims(|claims| claims["exp"] = json!(i64::MAX))
            .is_ok()
    );
    assert!(
        case.verify_claims(|claims| claims["exp"] = json!(i64::MIN))
            .is_err()
    );
}

#[test]
fn a_tenant_or_role_that_is_none_is_refused() {
    let case = case();
    for tenant in ["*", ">", "a.b", "", "a b", "$JS"] {
        let refused = case.verify_claims(|claims| claims["tenant"] = json!(tenant));
        assert_eq!(refused.err(), Some(TokenError::Claim("tenant")), "{tenant}");
    }
    let refused = case.verify_claims(|claims| claims["roles"] = json!(["root"]));
    assert_eq!(refused.err(), Some(TokenError::Claim("roles")));
    assert!(
        case.verify_claims(|claims| claims["roles"] = json!("admin"))
            .is_err()
    );
    let refused = case.verify_claims(|claims| claims["sub"] = json!("a\nb"));
    assert_eq!(refused.err(), Some(TokenError::Claim("sub")));
}

#[test]
fn a_claim_said_twice_is_refused() {
    let case = case();
    let token = case.signed(&header(), &claims());
    let signature = token.rsplit('.').next().expect("three parts");
    let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": "first"});
    let twice = claims()
        .to_string()
        .replace("\"roles\"", "\"roles\":[\"admin\"],\"roles\"");
    let forged = format!(
        "{}.{}.{signature}",
        base64(header.to_string().as_bytes()),
        base64(twice.as_bytes())
    );
    assert!(case.verifier.verify(&forged).is_err());
}

#[test]
fn a_token_of_a_retired_key_is_refused_at_once() {
    let case = case();
    let token = case.signed(&header(), &claims());
    let caller = case.verifier.verify(&token).expect("valid");
    assert!(case.verifier.is_still_valid(&caller));
    let (_, other) = key_pair();
    case.verifier
        .replace_keys(Keys::from_public_pems([("second", &other)]).expect("a key"));
    assert_eq!(
        case.verifier.verify(&token).err(),
        Some(TokenError::UnknownKey)
    );
    assert!(!case.verifier.is_still_valid(&caller));
    // A new key under the old name is another key.
    case.verifier
        .replace_keys(Keys::from_public_pems([("first", &other)]).expect("a key"));
    assert_eq!(
        case.verifier.verify(&token).err(),
        Some(TokenError::Signature)
    );
}

#[test]
fn what_is_no_token_is_refused() {
    let case = case();
    let long = "a".repeat(100_000);
    for text in [
        "",
        ".",
        "..",
        "a.b.c",
        "....",
        long.as_str(),
        "e30.e30.",
        "\u{0}",
    ] {
        assert_eq!(
            case.verifier.verify(text).err(),
            Some(TokenError::Malformed),
            "{text:.20}"
        );
    }
}

#[test]
fn a_token_is_taken_from_one_bearer_header_only() {
    let header = |values: &[&'static str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, axum::http::HeaderValue::from_static(value));
        }
        bearer(&headers).map(str::to_owned)
    };
    assert_eq!(header(&["Bearer abc"]), Ok("abc".to_owned()));
    assert_eq!(header(&["bearer abc"]), Ok("abc".to_owned()));
    for bad in [
        &[][..],
        &["Basic abc"],
        &["Bearer"],
        &["Bearer a", "Bearer b"],
    ] {
        assert_eq!(header(bad), Err(TokenError::Missing), "{bad:?}");
    }
}
