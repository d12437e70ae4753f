//! Processes, as `/proc` shows them.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

/// The servers and programs that run on a data folder. One that has ended has no arguments any more.
pub(crate) fn servers_of(data: &Path) -> Vec<i32> {
    let cluster = data.join("postgres/data");
    let places = [data.to_owned(), cluster.canonicalize().unwrap_or(cluster)];
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let of_folder = processes.filter_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let name = fs::read_to_string(entry.path().join("comm")).ok()?;
        let arguments = fs::read(entry.path().join("cmdline")).ok()?;
        let arguments = String::from_utf8_lossy(&arguments).into_owned();
        let is_ours = ["postgres", "nats-server", "ledgerline"].contains(&name.trim());
        let named = places
            .iter()
            .any(|place| arguments.contains(&*place.to_string_lossy()));
        (is_ours && named).then_some(pid)
    });
    of_folder.collect()
}

/// The same with everything that they have started, parents first: what Postgres' processes are called
/// tells nothing of their folder.
pub(crate) fn all_of(data: &Path) -> Vec<i32> {
    let mut found = servers_of(data);
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        // A process that has ended has no children.
        let children = format!("/proc/{parent}/task");
        for task in fs::read_dir(children).into_iter().flatten().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            for child in children
                .split_whitespace()
                .filter_map(|pid| pid.parse().ok())
            {
                if !found.contains(&child) {
                    found.push(child);
                }
            }
        }
        next += 1;
    }
    found
}

/// The first server of a data folder that is called so.
pub(crate) fn server_of(data: &Path, name: &str) -> Option<i32> {
    let is_named = |pid: &i32| {
        let comm = fs::read_to_string(format!("/proc/{pid}/comm"));
        comm.is_ok_and(|comm| comm.trim() == name)
    };
    servers_of(data).into_iter().find(is_named)
}

/// The most memory that a process has had at one time, in KiB.
pub(crate) fn peak_kib(pid: i32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next());
    kib.context("the kernel tells the peak")?
        .parse()
        .context("the peak is a number")
}

/// The numeric ids of a user and its group.
pub(crate) fn user(name: &str) -> anyhow::Result<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd")?;
    let line = users
        .lines()
        .find(|line| line.split(':').next() == Some(name));
    let fields: Vec<&str> = line.context("there is such a user")?.split(':').collect();
    Ok((fields[2].parse()?, fields[3].parse()?))
}
