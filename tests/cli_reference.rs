//! The reference page of the command line is what the program says of itself.

use std::path::Path;

#[test]
fn the_reference_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/cli.md");
    let page = std::fs::read_to_string(path).expect("the page is checked in");
    assert!(
        page == ledgerline::cli::reference_page(),
        "run `cargo run -- reference > docs/reference/cli.md`"
    );
}
