//! Memory of processes, as `/proc` shows it (proc(5)).

use std::fs;

use anyhow::Context as _;

use super::processes::{Server, servers_of};

/// What one process has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// What it has in memory.
    pub(super) resident_bytes: u64,
    /// The most that it had.
    pub(super) peak_bytes: u64,
    /// Of what it has, what is its own.
    own_bytes: u64,
    /// Of what it has, what it shares on purpose, such as Postgres' buffers.
    shared_bytes: u64,
}

/// What the servers of a program have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct OfServers {
    pub(super) nats_server_bytes: u64,
    /// What each of its processes has as its own, and the shared buffers once.
    pub(super) postgres_bytes: u64,
}

impl Memory {
    /// Of the process with this number.
    pub(super) fn of(pid: u32) -> anyhow::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"));
        Self::read(&status.context("read the memory of a process")?)
    }

    fn read(status: &str) -> anyhow::Result<Self> {
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kibibytes =
                line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            kibibytes
                .map(|kibibytes| kibibytes * 1024)
                .with_context(|| format!("no `{name}`"))
        };
        Ok(Self {
            resident_bytes: of("VmRSS:")?,
            peak_bytes: of("VmHWM:")?,
            own_bytes: of("RssAnon:")?,
            shared_bytes: of("RssShmem:")?,
        })
    }
}

impl OfServers {
    /// Of the servers that the program with this number has started.
    pub(super) fn below(program: u32) -> Self {
        let mut servers = Self::default();
        let mut buffers_bytes = 0;
        for (pid, server) in servers_of(program) {
            // It may have ended since it was found.
            let memory = Memory::of(pid).unwrap_or_default();
            match server {
                Server::NatsServer => servers.nats_server_bytes += memory.resident_bytes,
                Server::Postgres => {
                    servers.postgres_bytes += memory.own_bytes;
                    buffers_bytes = memory.shared_bytes.max(buffers_bytes);
                }
            }
        }
        servers.postgres_bytes += buffers_bytes;
        servers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_kibibytes_become_bytes() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nRssAnon:\t 512 kB\n\
                      RssFile:\t 500 kB\nRssShmem:\t 12 kB\n";
        let memory = Memory::read(status).expect("all lines are there");
        assert_eq!(memory.resident_bytes, 1 << 20);
        assert_eq!(memory.peak_bytes, 2 << 20);
        assert_eq!(
            (memory.own_bytes, memory.shared_bytes),
            (512 << 10, 12 << 10)
        );
        assert!(Memory::read("Name:\tx\n").is_err());
    }

    #[test]
    fn a_process_without_servers_has_none() {
        assert!(Memory::of(std::process::id()).is_ok());
        assert_eq!(OfServers::below(std::process::id()), OfServers::default());
    }
}
