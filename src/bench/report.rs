//! The tables of `docs/performance.md`, made from the record. Pure: a page and a record in, the page out.
//!
//! Prose is written by hand; what stands between [`BEGIN`] and [`END`] is written by this.

use std::fmt::Write as _;

use super::Figure;
use super::origin::{Machine, Servers};
use super::record::{Peer, Record, Run};

/// What comes behind this line is made.
pub const BEGIN: &str = "<!-- figures: made by `ledgerline bench report`, do not edit -->";
/// Up to this line.
pub const END: &str = "<!-- end of figures -->";

/// The page has no place for the figures.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the page has no place for figures: a line `{BEGIN}` and behind it a line `{END}`")]
pub struct NoPlace;

/// The page with the figures of the record.
///
/// # Errors
/// When the page has no place for them.
pub fn filled(page: &str, record: &Record) -> Result<String, NoPlace> {
    let (before, rest) = page.split_once(BEGIN).ok_or(NoPlace)?;
    let (_, after) = rest.split_once(END).ok_or(NoPlace)?;
    Ok(format!("{before}{BEGIN}\n{}{END}{after}", tables(record)))
}

/// As many digits as mean something.
pub(crate) fn number(value: f64) -> String {
    let decimals = match value.abs() {
        100.0.. => 0,
        1.0.. => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    let (whole, part) = text.split_at(text.find('.').unwrap_or(text.len()));
    let digits = whole.trim_start_matches('-').len();
    let mut grouped = String::new();
    for (index, character) in whole.chars().enumerate() {
        let left = whole.len() - index;
        if left % 3 == 0 && left < digits {
            grouped.push(',');
        }
        grouped.push(character);
    }
    grouped + part
}

fn tables(record: &Record) -> String {
    let mut places: Vec<(&Machine, &Servers)> = Vec::new();
    let mut runs = String::new();
    let mut figures = Vec::new();
    for (index, run) in record.runs.iter().enumerate() {
        let place = (&run.machine, &run.servers);
        let known = places.iter().position(|known| *known == place);
        let place = known.unwrap_or_else(|| {
            places.push(place);
            places.len() - 1
        });
        line(&mut runs, &described(run, index + 1, &letter(place)));
        figures.extend(run.figures.iter().map(|figure| (index + 1, figure)));
    }
    figures.sort_by(|(_, one), (_, other)| one.name.cmp(&other.name));
    let mut text = String::from(
        "| figure | value | ceiling | unit | ratio | floor | reached | run | behind it |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for (run, figure) in &figures {
        line(&mut text, &row(figure, *run));
    }
    line(&mut text, &format!("\n{runs}"));
    for (index, (machine, servers)) in places.into_iter().enumerate() {
        line(&mut text, &place(machine, servers, &letter(index)));
    }
    if !record.peers.is_empty() {
        let ours = |name: &str| {
            let figure = figures.iter().find(|(_, figure)| figure.name == name);
            figure.map_or(String::new(), |(_, figure)| number(figure.value))
        };
        text.push_str("\n| jobs/s | one a request | many a request | when |\n|---|---|---|---|\n");
        let (single, bulk) = (ours("jobs_single"), ours("jobs_batched"));
        line(
            &mut text,
            &format!("| Ledgerline | {single} | {bulk} | as above |"),
        );
        text.push_str(&peers(&record.peers));
    }
    text
}

fn row(figure: &Figure, run: usize) -> String {
    // A promise has no spread.
    let with = |value, spread: f64| match spread {
        0.0 => number(value),
        spread => format!("{} ± {:.0} %", number(value), spread * 100.0),
    };
    let cells = [
        format!("`{}`", figure.name),
        with(figure.value, figure.spread),
        with(figure.ceiling, figure.ceiling_spread),
        figure.unit.to_string(),
        format!("{:.2}", figure.ratio),
        format!("{:.1}", figure.floor),
        if figure.ok { "yes" } else { "**no**" }.to_owned(),
        run.to_string(),
        figure.note.replace('|', "\\|"),
    ];
    format!("| {} |", cells.join(" | "))
}

fn described(run: &Run, number: usize, place: &str) -> String {
    let mut parts = vec![run.at.strftime("%Y-%m-%d %H:%M UTC").to_string()];
    parts.push(match &run.build.commit {
        Some(commit) => {
            let changed = if run.build.dirty { " with changes" } else { "" };
            format!("commit `{}`{changed}", commit.get(..9).unwrap_or(commit))
        }
        None => "commit not known".to_owned(),
    });
    parts.push(format!("version {}", run.build.version));
    if run.build.profile != "release" {
        parts.push(format!("**`{}` build**", run.build.profile));
    }
    if run.options.quick {
        parts.push("**`--quick`**".to_owned());
    }
    parts.extend(
        run.options
            .minutes
            .map(|minutes| format!("{minutes} minutes")),
    );
    parts.push(format!("machine {place}"));
    parts.extend(run.load_before.map(|load| format!("load {load} before")));
    format!("{number}. {}", parts.join(", "))
}

fn place(machine: &Machine, servers: &Servers, letter: &str) -> String {
    let Machine {
        cpu,
        cores,
        memory_bytes,
        kernel,
        os,
        file_system,
    } = machine;
    // What a kernel keeps for itself is not in it: the next whole number is what was bought.
    let memory = memory_bytes.div_ceil(1 << 30);
    let Servers {
        nats_server,
        postgres,
    } = servers;
    format!(
        "Machine {letter}: {cpu}, {cores} processors, {memory} GiB, {file_system}, {os}, Linux {kernel}; \
         nats-server {nats_server}, Postgres {postgres}."
    )
}

/// One row a peer, in the order of the record.
fn peers(all: &[Peer]) -> String {
    let mut text = String::new();
    for (index, first) in all.iter().enumerate() {
        let same = |other: &&Peer| other.peer == first.peer;
        if all[..index].iter().any(|earlier| same(&earlier)) {
            continue;
        }
        let of = |mode: &str| {
            let peer = all.iter().filter(same).find(|peer| peer.mode == mode);
            peer.map_or(String::new(), |peer| number(peer.per_second as f64))
        };
        let (name, single, bulk) = (&first.peer, of("single"), of("bulk"));
        let (day, jobs) = (first.at.strftime("%Y-%m-%d"), first.jobs);
        line(
            &mut text,
            &format!("| {name} | {single} | {bulk} | {day}, {jobs} jobs |"),
        );
    }
    text
}

/// `A` for the first.
fn letter(index: usize) -> String {
    let index = u8::try_from(index).unwrap_or(u8::MAX);
    char::from(b'A'.saturating_add(index)).to_string()
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a string takes all");
}

#[cfg(test)]
mod tests;
