//! What holds for the command line as a whole.

use super::*;

/// Words of a line as a POSIX shell would split it, up to a pipe, a redirection or a comment.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for character in line.chars() {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (None, '|' | '>' | '#') if word.is_none() => return words,
            (Some(_) | None, other) => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

/// Every example of every help text.
fn examples(command: &clap::Command) -> Vec<String> {
    let text = command
        .get_after_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    let text = text.replace("\\\n", " ");
    let own = text
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("ledgerline "));
    let below = command.get_subcommands().flat_map(examples);
    own.map(str::to_owned).chain(below).collect()
}

#[test]
fn the_command_line_is_consistent() {
    definition().debug_assert();
}

#[test]
fn every_example_of_the_help_parses() {
    let examples = examples(&definition());
    assert!(examples.len() > 40, "{}", examples.len());
    for example in examples {
        if let Err(error) = Cli::try_parse_from(words(&example)) {
            panic!("{example}\n{error}");
        }
    }
}

#[test]
fn every_command_that_is_shown_has_examples_and_says_what_it_does() {
    fn check(command: &clap::Command) {
        for below in command
            .get_subcommands()
            .filter(|below| !below.is_hide_set())
        {
            assert!(below.get_about().is_some(), "{}", below.get_name());
            let help = below
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(help.contains("Examples:"), "{}", below.get_name());
            check(below);
        }
    }
    check(&definition());
}

#[test]
fn the_exit_codes_of_the_help_are_those_of_the_program() {
    for (exit, _) in Exit::ALL {
        assert!(AFTER_HELP.contains(&format!("{} ", exit.code())));
    }
}

#[test]
fn global_options_stand_before_and_behind_the_command() {
    for line in [
        "ledgerline --data-dir d -o json positions",
        "ledgerline positions --data-dir d -o json",
    ] {
        let cli = Cli::try_parse_from(words(line)).expect(line);
        assert_eq!(cli.global.data_dir, PathBuf::from("d"));
        assert_eq!(cli.global.output, Format::Json);
    }
}

#[test]
fn a_wrong_command_line_is_refused() {
    for line in [
        "ledgerline",
        "ledgerline nothing",
        "ledgerline assignment",
        "ledgerline assignment request --title t",
        "ledgerline token --subject s",
        "ledgerline token --subject s --role king",
        "ledgerline import xes f",
        "ledgerline import xes f --mapping m --concurrency 0",
        "ledgerline rebuild a/b",
        "ledgerline events tail --from never",
    ] {
        assert!(Cli::try_parse_from(words(line)).is_err(), "{line}");
    }
}
