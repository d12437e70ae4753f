//! When a schedule is due, as it comes in, and the domain's types that it becomes.

use std::fmt;

use domain::Timestamp;
use domain::schedule::{
    BusinessDays, CatchUp, Date, Day, Holidays, Otherwise, Recurrence, Weekend,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{
    Array, ArrayBuilder, KnownFormat, ObjectBuilder, SchemaFormat, SchemaType, Type,
};

use crate::fields::{Fields, whole};
use crate::texts::TimeText;

/// When it is due: by a cron line, every so often, or once.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(title = "Recurrence", example = json!({"type": "cron", "line": "0 7 * * 1-5", "time_zone": "Europe/Berlin"}))]
pub(crate) struct RecurrenceBody {
    /// `cron`, with `line` and `time_zone`; `every`, with `interval_ms` and `anchor`; `once`, with `at`.
    #[serde(rename = "type")]
    #[schema(pattern = "^(cron|every|once)$", example = "cron")]
    pub(crate) kind: String,
    /// Five fields (minute, hour, day, month, day of the week), or six with seconds in front.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200, example = "0 7 * * 1-5")]
    pub(crate) line: Option<String>,
    /// In whose time the line is, as an IANA name; `UTC` if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200, example = "Europe/Berlin")]
    pub(crate) time_zone: Option<String>,
    /// So many milliseconds lie between two times.
    #[serde(
        default,
        deserialize_with = "whole",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(minimum = 1_000, maximum = 31_536_000_000_i64)]
    pub(crate) interval_ms: Option<i64>,
    /// One of the times, from which the others count; 1970-01-01T00:00:00Z if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) anchor: Option<TimeText>,
    /// The one time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<TimeText>,
}

/// On which days it may be due.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(title = "BusinessDays")]
pub(crate) struct BusinessDaysBody {
    /// What becomes of a time on another day: `skip`, or the same time of the last business day `before`
    /// or the next one `after`; `skip` if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^(skip|before|after)$", example = "after")]
    pub(crate) otherwise: Option<String>,
    /// Days of the week that do not count; Saturday and Sunday if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = weekend_schema)]
    pub(crate) weekend: Option<Vec<String>>,
    /// Dates that do not count, as `2026-12-25`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = holidays_schema)]
    pub(crate) holidays: Option<Vec<String>>,
}

/// What becomes of the times that passed while nobody decided.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(title = "CatchUp", example = json!({"type": "last"}))]
pub(crate) struct CatchUpBody {
    /// `none` of them is made up for, the `last`, or `all` up to `at_most`.
    #[serde(rename = "type")]
    #[schema(pattern = "^(none|last|all)$", example = "last")]
    pub(crate) kind: String,
    /// How many of the last; must be there where it is `all`, and only there.
    #[serde(
        default,
        deserialize_with = "whole",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(minimum = 1, maximum = 100)]
    pub(crate) at_most: Option<i64>,
}

/// A field that belongs to one type and to no other.
struct OfType<'a, T> {
    pointer: &'a str,
    field: Option<T>,
    owner: &'a str,
}

impl<T> OfType<'_, T> {
    /// The field where the type is its owner, which it may have to be there for; refused elsewhere.
    fn taken(self, kind: &str, fields: &mut Fields) -> Option<T> {
        if self.field.is_some() && kind != self.owner {
            let rule = format!("is taken only where `type` is `{}`", self.owner);
            return fields.check(self.pointer, Err(rule));
        }
        self.field
    }

    fn required(self, kind: &str, fields: &mut Fields) -> Option<T> {
        if self.field.is_none() && kind == self.owner {
            let rule = format!("must be there where `type` is `{}`", self.owner);
            return fields.check(self.pointer, Err(rule));
        }
        self.taken(kind, fields)
    }
}

/// The type, by which the other fields are judged: where it is none, nothing can be said of them.
fn one_of<'a>(types: &[&str], kind: &'a str, fields: &mut Fields) -> Option<&'a str> {
    let rule = || format!("must be one of `{}`", types.join("`, `"));
    let is_one = types.contains(&kind);
    fields.check("/type", is_one.then_some(kind).ok_or_else(rule))
}

fn of_type<'a, T>(owner: &'a str, pointer: &'a str, field: Option<T>) -> OfType<'a, T> {
    OfType {
        pointer,
        field,
        owner,
    }
}

impl RecurrenceBody {
    pub(crate) fn recurrence(self, fields: &mut Fields) -> Option<Recurrence> {
        let kind = one_of(&["cron", "every", "once"], &self.kind, fields)?;
        let line = of_type("cron", "/line", self.line).required(kind, fields);
        let zone = of_type("cron", "/time_zone", self.time_zone).taken(kind, fields);
        let interval = of_type("every", "/interval_ms", self.interval_ms).required(kind, fields);
        let anchor = of_type("every", "/anchor", self.anchor).taken(kind, fields);
        let at = of_type("once", "/at", self.at).required(kind, fields);
        match kind {
            "cron" => {
                let line = line.and_then(|line| fields.text("/line", line));
                let time_zone = fields.optional("/time_zone", zone);
                Some(Recurrence::Cron {
                    line: line?,
                    time_zone: time_zone?.unwrap_or_default(),
                })
            }
            "every" => {
                let interval_ms = interval.and_then(|ms| fields.number("/interval_ms", ms));
                let anchor = fields.optional_time("/anchor", anchor.as_ref());
                Some(Recurrence::Every {
                    interval_ms: interval_ms?,
                    anchor: anchor?.unwrap_or(Timestamp::UNIX_EPOCH),
                })
            }
            _once => {
                let at = at.and_then(|at| fields.check("/at", at.parse()));
                Some(Recurrence::Once { at: at? })
            }
        }
    }
}

impl BusinessDaysBody {
    pub(crate) fn business_days(self, fields: &mut Fields) -> Option<BusinessDays> {
        let otherwise = self.otherwise.unwrap_or_else(|| "skip".to_owned());
        let rule = "must be one of `skip`, `before`, `after`";
        let otherwise = otherwise.parse::<Otherwise>().map_err(|_| rule);
        let otherwise = fields.check("/otherwise", otherwise);
        let weekend = match self.weekend {
            Some(days) => each("/weekend", days, day, fields)
                .and_then(|days| fields.check("/weekend", Weekend::try_from(days))),
            None => Some(Weekend::default()),
        };
        let holidays = self.holidays.unwrap_or_default();
        let holidays = each("/holidays", holidays, date, fields)
            .and_then(|dates| fields.check("/holidays", Holidays::try_from(dates)));
        Some(BusinessDays {
            otherwise: otherwise?,
            weekend: weekend?,
            holidays: holidays?,
        })
    }
}

impl CatchUpBody {
    pub(crate) fn catch_up(self, fields: &mut Fields) -> Option<CatchUp> {
        let kind = one_of(&["none", "last", "all"], &self.kind, fields)?;
        let at_most = of_type("all", "/at_most", self.at_most).required(kind, fields);
        match kind {
            "none" => Some(CatchUp::None),
            "last" => Some(CatchUp::Last),
            _all => {
                let at_most = fields.number("/at_most", at_most?)?;
                Some(CatchUp::All { at_most })
            }
        }
    }
}

/// Each text of a list by itself; pointers name their places.
fn each<T, E: fmt::Display>(
    pointer: &str,
    texts: Vec<String>,
    read: fn(&str) -> Result<T, E>,
    fields: &mut Fields,
) -> Option<Vec<T>> {
    let all: Vec<_> = (0..)
        .zip(texts)
        .map(|(index, text): (usize, _)| fields.check(&format!("{pointer}/{index}"), read(&text)))
        .collect();
    all.into_iter().collect()
}

fn day(text: &str) -> Result<Day, &'static str> {
    text.parse()
        .map_err(|_| "must be a day of the week, as `sunday`")
}

/// Only the plain form: the parser takes dates with a time behind them too.
fn date(text: &str) -> Result<Date, &'static str> {
    let date = text.parse::<Date>().ok();
    let date = date.filter(|date| date.to_string() == text);
    date.ok_or("must be a date, as `2026-12-25`")
}

fn weekend_schema() -> Array {
    let day = "^(monday|tuesday|wednesday|thursday|friday|saturday|sunday)$";
    list_schema(text().pattern(Some(day)), 6)
}

fn holidays_schema() -> Array {
    let date = text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Date)));
    list_schema(date, Holidays::ENTRIES_MAX)
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::new(Type::String))
}

fn list_schema(of: ObjectBuilder, items_max: usize) -> Array {
    ArrayBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Array, Type::Null]))
        .items(of.build())
        .max_items(Some(items_max))
        .build()
}
