//! The history of an aggregate as a table: who, when, what.

use uuid::Uuid;

use super::client::Query;
use super::client::pages::{self, ITEMS_MAX, Items};
use super::out::{Out, cell, rendered};
use super::{Console, show};

/// Prints every event of the one of `collection`, as `jobs`, that has this id.
pub(super) async fn print(console: &Console, collection: &str, id: Uuid) -> anyhow::Result<()> {
    let id = id.to_string();
    let path = ["v1", collection, &id, "history"];
    let client = console.client()?;
    let items = pages::read(&client, &path, &Query::default(), ITEMS_MAX, None).await?;
    console
        .out
        .document(&items, |items| events(items, &console.out))?;
    Ok(())
}

fn events(items: &Items, out: &Out) -> String {
    let mut table = out.new_table(&["position", "at", "event", "by", "data"]);
    for item in &items.items {
        let data = match &item["data"] {
            serde_json::Value::Null => String::new(),
            data => data.to_string(),
        };
        table.add_row([
            cell(show::text(item, "/position")),
            cell(show::text(item, "/at")),
            cell(show::text(item, "/type")),
            cell(show::text(item, "/principal")),
            cell(data),
        ]);
    }
    rendered(&table)
}
