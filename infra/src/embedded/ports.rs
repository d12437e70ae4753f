//! The ports the servers listen on: those asked for, else those of the last run, else free ones.
//!
//! Between choosing a port and the server listening on it another program may take it; the
//! server then ends with a message that says so, and the next start chooses again.

use std::net::{Ipv4Addr, TcpListener};

use serde::{Deserialize, Serialize};

use super::Error;
use super::folder::{DataFolder, read_json, write_json};

/// The two ports, on the loopback interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) nats: u16,
    pub(crate) postgres: u16,
}

/// What the last run used.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Remembered {
    nats: Option<u16>,
    postgres: Option<u16>,
}

impl Ports {
    /// Chooses both and remembers them. A port that was asked for and is taken is an error; one
    /// that was only remembered is given up.
    pub(crate) fn choose(
        folder: &DataFolder,
        nats_asked: Option<u16>,
        postgres_asked: Option<u16>,
    ) -> Result<Self, Error> {
        let path = folder.ports();
        let last: Remembered = read_json(&path)?;
        // Both are held until both are chosen, or they might be the same one.
        let nats = reserve("NATS", nats_asked, last.nats)?;
        let postgres = reserve("Postgres", postgres_asked, last.postgres)?;
        let port = |held: &TcpListener| held.local_addr().map(|address| address.port());
        let chosen = Self {
            nats: port(&nats).map_err(Error::NoPort)?,
            postgres: port(&postgres).map_err(Error::NoPort)?,
        };
        let remembered = Remembered {
            nats: Some(chosen.nats),
            postgres: Some(chosen.postgres),
        };
        write_json(&path, &remembered)?;
        Ok(chosen)
    }
}

fn reserve(
    server: &'static str,
    asked: Option<u16>,
    last: Option<u16>,
) -> Result<TcpListener, Error> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    if let Some(port) = asked {
        return bind(port).map_err(|_| Error::PortTaken { server, port });
    }
    last.map_or_else(|| bind(0), |port| bind(port).or_else(|_| bind(0)))
        .map_err(Error::NoPort)
}
