//! The servers of a program, and what time they and it had on the processors, as `/proc` shows them (proc(5)).

use std::fs;

use anyhow::Context as _;

/// Which server a process belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Server {
    NatsServer,
    Postgres,
}

/// Time on the processors since the start of each, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Cpu {
    /// Of this process, which is the load.
    pub(super) load: f64,
    pub(super) program: f64,
    pub(super) nats_server: f64,
    pub(super) postgres: f64,
}

/// The processes of the servers that the program with this number has started.
pub(super) fn servers_of(program: u32) -> Vec<(u32, Server)> {
    let server = |pid: u32| {
        // A process may have ended since it was found.
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        match name.trim() {
            "nats-server" => Some((pid, Server::NatsServer)),
            "postgres" => Some((pid, Server::Postgres)),
            _ => None,
        }
    };
    descendants(program)
        .into_iter()
        .filter_map(server)
        .collect()
}

/// Every process that this one has started, and that those have started.
fn descendants(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(parent) = found.get(next) {
        let threads = fs::read_dir(format!("/proc/{parent}/task"));
        for thread in threads.into_iter().flatten().flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            let children = children.split_whitespace();
            found.extend(children.filter_map(|child| child.parse::<u32>().ok()));
        }
        next += 1;
    }
    found.split_off(1)
}

impl Cpu {
    /// Of this process, the program with this number, and its servers.
    pub(super) fn of(program: u32) -> anyhow::Result<Self> {
        let mut cpu = Self {
            load: Times::of(std::process::id())?.own(),
            program: Times::of(program)?.own(),
            ..Self::default()
        };
        for (pid, server) in servers_of(program) {
            let times = Times::of(pid).unwrap_or_default();
            match server {
                Server::NatsServer => cpu.nats_server += times.own(),
                // Its processes come and go.
                Server::Postgres => cpu.postgres += times.own() + times.of_ended_children(),
            }
        }
        Ok(cpu)
    }

    /// What came since `before`, for each of `count`.
    pub(super) fn each(self, before: Self, count: usize) -> Self {
        let each = |now: f64, before: f64| (now - before) / count as f64;
        Self {
            load: each(self.load, before.load),
            program: each(self.program, before.program),
            nats_server: each(self.nats_server, before.nats_server),
            postgres: each(self.postgres, before.postgres),
        }
    }
}

/// The four times of a process, in ticks of the kernel's clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Times {
    user: u64,
    system: u64,
    children_user: u64,
    children_system: u64,
}

impl Times {
    fn of(pid: u32) -> anyhow::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
        let stat = stat.context("read the times of a process")?;
        Self::read(&stat).context("the times of a process are not where proc(5) has them")
    }

    fn read(stat: &str) -> Option<Self> {
        /// Of the fields behind the name, which may have spaces and brackets in it.
        const USER: usize = 11;
        let (_, fields) = stat.rsplit_once(')')?;
        let mut times = fields.split_whitespace().skip(USER).map(str::parse);
        let mut next = || times.next()?.ok();
        Some(Self {
            user: next()?,
            system: next()?,
            children_user: next()?,
            children_system: next()?,
        })
    }

    fn own(self) -> f64 {
        seconds(self.user + self.system)
    }

    fn of_ended_children(self) -> f64 {
        seconds(self.children_user + self.children_system)
    }
}

fn seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_without_servers_has_none_and_took_some_time() {
        assert_eq!(servers_of(std::process::id()), []);
        let cpu = Cpu::of(std::process::id()).expect("it runs");
        assert_eq!((cpu.nats_server, cpu.postgres), (0.0, 0.0));
        assert!(cpu.load >= cpu.program, "the same process, read later");
    }

    #[test]
    fn times_stand_behind_a_name_that_may_be_anything() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 9 8 7 6 150 50 30 20 20 0 4 0 99 1 2";
        let times = Times::read(stat).expect("all fields are there");
        let expected = Times {
            user: 150,
            system: 50,
            children_user: 30,
            children_system: 20,
        };
        assert_eq!(times, expected);
        assert_eq!(Times::read("7 (a) S 1 7"), None);
    }

    #[test]
    fn what_came_since_is_shared_by_all() {
        let before = Cpu {
            load: 1.0,
            program: 2.0,
            nats_server: 3.0,
            postgres: 4.0,
        };
        let now = Cpu {
            nats_server: 5.0,
            ..before
        };
        let expected = Cpu {
            nats_server: 0.5,
            ..Cpu::default()
        };
        assert_eq!(now.each(before, 4), expected);
    }
}
