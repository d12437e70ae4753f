//! The reference pages are what the program says of itself.

use std::path::Path;

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference");
    std::fs::read_to_string(path.join(name)).expect("the page is checked in")
}

#[test]
fn the_reference_page_is_up_to_date() {
    assert!(
        page("cli.md") == ledgerline::cli::reference_page(),
        "run `cargo run -- reference > docs/reference/cli.md`"
    );
}

#[test]
fn the_worker_protocol_is_up_to_date() {
    assert!(
        page("worker-protocol.json").trim_end() == api::gateway::document(),
        "run `cargo run -- worker-protocol > docs/reference/worker-protocol.json`"
    );
}
