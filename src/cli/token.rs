//! `token`: mints a JWT with the private key of the data folder. Needs no server, only the folder.

use std::str::FromStr;

use anyhow::Context as _;
use api::auth::{Grant, Role, SigningKey};
use clap::Args;
use domain::{Name, Tenant};
use jiff::{SignedDuration, Span, SpanRelativeTo};

use super::Console;

pub(super) const EXAMPLES: &str = "\
Examples:
  ledgerline token --subject anne --role member
  ledgerline token --subject nightly-import --role operator --expires 30d > import.token
  ledgerline token --subject auditor --tenant north --role auditor --role viewer --expires 90m";

/// The folder of the keys within the data folder.
const KEYS: &str = "keys";
/// A token cannot be called back, only its key retired: a year is what one may trust to that.
const EXPIRES_MAX: SignedDuration = SignedDuration::from_hours(365 * 24);
/// Below this a token has run out before anybody has pasted it.
const EXPIRES_MIN: SignedDuration = SignedDuration::from_secs(10);

/// What the token is to say.
#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    /// Whom it is for: the principal of everything done with it
    #[arg(long, value_name = "NAME")]
    subject: Name,
    /// In which tenant
    #[arg(long, default_value = "default")]
    tenant: Tenant,
    /// What it allows: admin, operator, member, auditor or viewer; may be given several times
    #[arg(long, required = true, value_name = "ROLE", value_delimiter = ',')]
    role: Vec<Role>,
    /// How long it is valid, as `90m`, `12h` or `30d`; at most 365 days
    #[arg(long, value_name = "SPAN", default_value = "12h")]
    expires: Expires,
}

/// How long a token is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Expires(SignedDuration);

impl FromStr for Expires {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let span: Span = text
            .parse()
            .map_err(|_| "must be a span as `90m`, `12h` or `30d`")?;
        // A day is 24 hours here: a token knows no time zone.
        let duration = span
            .to_duration(SpanRelativeTo::days_are_24_hours())
            .map_err(|_| "must be of weeks, days, hours, minutes and seconds")?;
        if duration < EXPIRES_MIN || duration > EXPIRES_MAX {
            return Err("must be from 10 seconds to 365 days".to_owned());
        }
        Ok(Self(duration))
    }
}

pub(super) fn run(args: &TokenArgs, console: &Console) -> anyhow::Result<()> {
    let folder = console.global.data_dir.join(KEYS);
    let key = infra::keys::signing_key(&folder)
        .context("find the key that signs; `ledgerline up` makes one at its first start")?;
    let key = SigningKey::from_private_pem(key.kid, key.pem)?;
    let now = console.clock.now();
    let grant = Grant {
        principal: args.subject.clone(),
        tenant: args.tenant.clone(),
        roles: args.role.clone(),
        not_before: now,
        expires_at: now
            .checked_add(args.expires.0)
            .context("add the span to now")?,
    };
    console.out.line(&api::auth::mint(&key, &grant)?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_weeks_to_seconds_within_a_year() {
        for (text, seconds) in [
            ("90m", 5_400),
            ("12h", 43_200),
            ("30d", 2_592_000),
            ("1w", 604_800),
        ] {
            let expires: Expires = text.parse().expect(text);
            assert_eq!(expires.0.as_secs(), seconds, "{text}");
        }
        for bad in ["", "12", "1y", "366d", "-1h", "1s", "soon"] {
            assert!(bad.parse::<Expires>().is_err(), "{bad}");
        }
    }
}
