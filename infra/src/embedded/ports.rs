//! The ports the servers listen on: those asked for, else those of the last run, else free ones.
//!
//! Between choosing a port and the server listening on it another program may take it; the
//! server then ends with a message that says so, and the start chooses again.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};

use super::Error;
use super::folder::{DataFolder, read_json, write_json};

/// Free ports are looked for here: below the range from which the kernel gives ports to outgoing
/// connections (32768 on), one of which may otherwise take a port just before its server listens.
const FREE_PORTS: (u16, u16) = (15_000, 32_000);

/// How many of them are tried: on a machine where half of them are taken, all tries fail once in
/// a long lifetime.
const TRIES_MAX: usize = 64;

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
    if let Some(held) = last.and_then(|port| bind(port).ok()) {
        return Ok(held);
    }
    let mut taken = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..TRIES_MAX {
        match bind(random_port()?) {
            Ok(held) => return Ok(held),
            Err(error) => taken = error,
        }
    }
    Err(Error::NoPort(taken))
}

fn random_port() -> Result<u16, Error> {
    let mut bytes = [0; 2];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_unspecified| Error::NoPort(io::Error::other("no randomness")))?;
    let offset = u16::from_le_bytes(bytes) % (FREE_PORTS.1 - FREE_PORTS.0);
    Ok(FREE_PORTS.0 + offset)
}
