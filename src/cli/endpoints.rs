//! Where the server is, and what opens it: from flags, from the environment, or from the
//! `endpoints.json` that a running `ledgerline up` keeps in its data folder.
//!
//! Invariant: the token of the data folder goes to the server of that folder and to no other. Who
//! names a server with `--url` gives its token too.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

use super::Global;
use super::client::{Client, Secret};
use super::failure::Failure;
use crate::compose::Endpoints;

/// The file in the data folder that says where everything is.
const ENDPOINTS_FILE: &str = "endpoints.json";

/// What a running `up` on the data folder says of itself.
pub(crate) fn read(data_dir: &Path) -> anyhow::Result<Endpoints> {
    let endpoints = data_dir.join(ENDPOINTS_FILE);
    Ok(Endpoints::read(data_dir)?.ok_or(Failure::NotRunning { endpoints })?)
}

/// A client of the server that the flags name, or of the one that runs on the data folder.
pub(crate) fn connect(global: &Global) -> anyhow::Result<Client> {
    let given = match (&global.token, &global.token_file) {
        (Some(token), _) => Some(Secret::new(token)?),
        (None, Some(file)) => Some(read_token(file)?),
        (None, None) => None,
    };
    match (&global.url, given) {
        (Some(url), Some(token)) => Client::new(url, token),
        (Some(url), None) => {
            let problem = format!("`--url {url}` needs `--token` or `--token-file` beside it");
            Err(Failure::Usage(problem).into())
        }
        (None, given) => {
            let endpoints = read(&global.data_dir)?;
            let token = given.map_or_else(|| read_token(&endpoints.token_file), Ok)?;
            Client::new(&endpoints.http, token)
        }
    }
}

fn read_token(file: &Path) -> anyhow::Result<Secret> {
    let token = fs::read_to_string(file).with_context(|| format!("read `{}`", file.display()))?;
    Secret::new(&token).with_context(|| format!("read `{}`", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::failure::Exit;

    fn global(data_dir: &str, url: Option<&str>, token: Option<&str>) -> Global {
        Global {
            data_dir: data_dir.into(),
            url: url.map(str::to_owned),
            token: token.map(str::to_owned),
            token_file: None,
            output: crate::cli::out::Format::Table,
            quiet: false,
        }
    }

    #[test]
    fn without_a_server_the_message_says_how_to_come_to_one() {
        let error = connect(&global("no/such/folder", None, None)).expect_err("nothing there");
        assert_eq!(Exit::of(&error), Exit::NotAvailable);
        let text = error.to_string();
        for hint in [
            "no/such/folder/endpoints.json",
            "ledgerline up",
            "--data-dir",
            "--url",
        ] {
            assert!(text.contains(hint), "{text}");
        }
    }

    #[test]
    fn the_folders_own_token_is_not_sent_to_a_named_server() {
        let error = connect(&global("no/such/folder", Some("http://127.0.0.1:1"), None));
        assert_eq!(Exit::of(&error.expect_err("no token")), Exit::Usage);
        assert!(
            connect(&global(
                "no/such/folder",
                Some("http://127.0.0.1:1"),
                Some("t")
            ))
            .is_ok()
        );
    }
}
