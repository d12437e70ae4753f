//! The reference page `docs/reference/cli.md`, made from the command line's own description, so that
//! the two cannot differ: a test compares them. Pure: a description in, Markdown out.

use std::fmt::Write as _;

use clap::{Arg, Command};

use super::failure::Exit;

const HEAD: &str = "\
# Command line

Made by `ledgerline reference` from the program itself; a test compares the two. Do not edit.

Results go to standard output, remarks, progress and errors to standard error. With `-o json` standard
output carries one JSON document, or one JSON object a line where a command gives a stream. A client
command finds the server of `ledgerline up` through the data folder; `--url` with a token names another.
Queries, and commands under their idempotency key, are repeated a few times while the server is away;
nothing else is.
";

/// The whole page.
pub(super) fn page(program: &Command) -> String {
    let mut program = program.clone();
    // Fills in what clap derives, such as the options that every command inherits.
    program.build();
    let mut page = HEAD.to_owned();
    page.push_str("\n## Exit codes\n\n| code | meaning |\n|---|---|\n");
    for (exit, meaning) in Exit::ALL {
        line(&mut page, &format!("| {} | {meaning} |", exit.code()));
    }
    page.push_str("\n## Global options\n\nEvery command takes them.\n");
    arguments(
        &mut page,
        program
            .get_arguments()
            .filter(|argument| argument.is_global_set()),
    );
    for command in visible(&program) {
        describe(&mut page, command, "ledgerline");
    }
    page
}

fn describe(page: &mut String, command: &Command, parent: &str) {
    let path = format!("{parent} {}", command.get_name());
    line(page, &format!("\n## {path}\n"));
    if let Some(about) = command.get_long_about().or(command.get_about()) {
        line(page, &format!("{about}."));
    }
    let own = || {
        command
            .get_arguments()
            .filter(|argument| !argument.is_global_set() && !is_help(argument))
    };
    if own().next().is_some() {
        arguments(page, own());
    }
    // A command that does nothing itself leaves its examples to those below it.
    let acts = !command.is_subcommand_required_set();
    if let Some(examples) = command.get_after_help().filter(|_| acts) {
        after_help(page, &examples.to_string());
    }
    for below in visible(command) {
        describe(page, below, &path);
    }
}

fn arguments<'a>(page: &mut String, arguments: impl Iterator<Item = &'a Arg>) {
    page.push_str("\n| argument | meaning | default | environment |\n|---|---|---|---|\n");
    for argument in arguments {
        let meaning = argument
            .get_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        let defaults: Vec<String> = argument
            .get_default_values()
            .iter()
            .filter(|_| argument.get_action().takes_values())
            .map(|value| format!("`{}`", value.to_string_lossy()))
            .collect();
        let environment = argument
            .get_env()
            .map(|name| format!("`{}`", name.to_string_lossy()));
        let row = [
            signature(argument),
            meaning + &choices(argument),
            defaults.join(", "),
            environment.unwrap_or_default(),
        ];
        line(
            page,
            &format!("| {} |", row.map(|text| escaped(&text)).join(" | ")),
        );
    }
}

/// How the argument is written: `-o, --output <FORMAT>`, or `<FILE>`.
fn signature(argument: &Arg) -> String {
    let mut names = Vec::new();
    names.extend(argument.get_short().map(|short| format!("-{short}")));
    names.extend(argument.get_long().map(|long| format!("--{long}")));
    let values = argument.get_value_names().unwrap_or_default();
    let value = match argument.get_action().takes_values() {
        true => values
            .iter()
            .map(|name| format!("<{name}>"))
            .collect::<Vec<_>>()
            .join(" "),
        false => String::new(),
    };
    let mut text = names.join(", ");
    if !text.is_empty() && !value.is_empty() {
        text.push(' ');
    }
    let required = if argument.is_required_set() && !names.is_empty() {
        " (required)"
    } else {
        ""
    };
    format!("`{text}{value}`{required}")
}

fn choices(argument: &Arg) -> String {
    let values = argument.get_possible_values();
    let names: Vec<String> = values
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if names.is_empty() || !argument.get_action().takes_values() {
        return String::new();
    }
    format!(": {}", names.join(", "))
}

/// Examples as code, whatever stands behind them as text.
fn after_help(page: &mut String, text: &str) {
    let mut inside = false;
    for text in text.lines() {
        match (text == "Examples:", text.starts_with("  "), inside) {
            (true, _, _) => page.push('\n'),
            (false, true, false) => {
                line(page, "```sh");
                line(page, text.trim_start());
                inside = true;
            }
            (false, true, true) => line(page, &text[2..]),
            (false, false, true) => {
                line(page, "```");
                line(page, text);
                inside = false;
            }
            (false, false, false) => line(page, text),
        }
    }
    if inside {
        line(page, "```");
    }
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    let hidden = |below: &&Command| !below.is_hide_set() && below.get_name() != "help";
    command.get_subcommands().filter(hidden)
}

fn is_help(argument: &Arg) -> bool {
    matches!(argument.get_id().as_str(), "help" | "version")
}

/// A bar would end the table's cell, a line break its row.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn line(page: &mut String, text: &str) {
    writeln!(page, "{text}").expect("a string takes all");
}
