//! Collections, page by page, up to as many items as were asked for.

use serde::Serialize;
use serde_json::Value;

use super::{Client, Query};
use crate::cli::out::Out;

/// The most that the server gives at once.
const PAGE_ITEMS_MAX: u32 = 500;
/// The most that one call keeps in memory for its table or document.
pub(crate) const ITEMS_MAX: u32 = 100_000;

/// Items, and how to come to those behind them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Items {
    /// The items.
    pub(crate) items: Vec<Value>,
    /// Where the next ones begin; nothing at the end.
    pub(crate) next: Option<String>,
    /// The position of the read side that the last page was read at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) position: Option<u64>,
}

/// Reads up to `limit` items from `cursor` on.
pub(crate) async fn read(
    client: &Client,
    path: &[&str],
    query: &Query,
    limit: u32,
    cursor: Option<&str>,
) -> anyhow::Result<Items> {
    let mut read = Items {
        items: Vec::new(),
        next: cursor.map(str::to_owned),
        position: None,
    };
    loop {
        let missing = u64::from(limit) - read.items.len() as u64;
        let page = query
            .clone()
            .with("limit", Some(missing.min(u64::from(PAGE_ITEMS_MAX))))
            .with("cursor", read.next.as_deref());
        let mut answer = client.get(path, &page).await?;
        let Value::Array(items) = answer.body["items"].take() else {
            anyhow::bail!("read the answer: it has no `items`");
        };
        read.items.extend(items);
        read.next = answer.body["next"].as_str().map(str::to_owned);
        read.position = answer.position;
        if read.next.is_none() || read.items.len() as u64 >= u64::from(limit) {
            return Ok(read);
        }
    }
}

/// Prints only how many fit the query.
pub(crate) async fn count(
    client: &Client,
    path: &[&str],
    query: Query,
    out: &Out,
) -> anyhow::Result<()> {
    let query = query.with("count", Some(true)).with("limit", Some(1));
    let answer = client.get(path, &query).await?;
    match answer.body["total"].as_u64() {
        Some(total) => Ok(out.line(&total.to_string())?),
        None => anyhow::bail!("read the answer: it has no `total`"),
    }
}

/// Says how to go on, where there is more.
pub(crate) fn remark(items: &Items, out: &Out) {
    if let Some(next) = &items.next {
        out.remark(&format!("there are more: go on with --cursor {next}"));
    }
}
