// SPDX-License-Identifier: GPL-2.0

//! Options that several commands have, and what is said of options that make no sense.
//!
//! Each command has one definition of its options, a [`clap::Command`], from which arguments are
//! read and its help text is made.

use crate::{
    batch,
    failure::Failure,
    program::{Console, Program},
    text,
};
use clap::{
    Arg, ArgAction, ArgMatches, Command,
    builder::{PossibleValuesParser, TypedValueParser},
    error::{ContextKind, ContextValue, ErrorKind},
};

/// An option without a value; to give it twice is to give it once.
pub(crate) fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .help(help)
        .action(ArgAction::SetTrue)
        .overrides_with(name)
}

/// An option with a value, in the same argument or the next one, whatever that begins with.
pub(crate) fn value(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name(value)
        .help(help)
        .num_args(1)
        .allow_hyphen_values(true)
}

/// `--json`.
pub(crate) fn json() -> Arg {
    flag("json", "Print lists and results as JSON")
}

/// `--help` and `--version`.
pub(crate) fn help_and_version() -> [Arg; 2] {
    [
        Arg::new("help")
            .long("help")
            .short('h')
            .help("Print this text")
            .action(ArgAction::Help),
        Arg::new("version")
            .long("version")
            .short('V')
            .help("Print the version")
            .action(ArgAction::Version),
    ]
}

/// `--debug`, `--label`, `--help` and `--version`.
pub(crate) fn general() -> [Arg; 4] {
    let [help, version] = help_and_version();
    let label = value("label", "LABEL", "Begin all messages with this label");
    [
        flag("debug", "Tell of progress"),
        label.overrides_with("label"),
        help,
        version,
    ]
}

/// `--batch` and `--keep-going`.
pub(crate) fn batch() -> [Arg; 2] {
    [
        value(
            "batch",
            "FILE",
            "Execute the lines of a file, or of standard input for -",
        ),
        flag("keep-going", "Go on with a batch after a line that failed"),
    ]
}

/// When lists are aligned and coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Color {
    /// At a terminal; without colours if the user wants none anywhere.
    Auto,
    Always,
    /// Aligned at a terminal all the same.
    Never,
}

impl Color {
    /// Whether lists are aligned for a reader.
    pub(crate) fn aligns(self, console: &Console<'_>) -> bool {
        console.terminal || self == Color::Always
    }

    /// Whether lists are coloured.
    pub(crate) fn colors(self, console: &Console<'_>) -> bool {
        match self {
            Color::Auto => console.terminal && !console.no_color,
            Color::Always => true,
            Color::Never => false,
        }
    }
}

/// `--color`.
pub(crate) fn color() -> Arg {
    let words = PossibleValuesParser::new(["auto", "always", "never"]);
    value(
        "color",
        "WHEN",
        "Align and colour lists, by default only at a terminal",
    )
    .overrides_with("color")
    .value_parser(words.map(|word| match word.as_str() {
        "always" => Color::Always,
        "never" => Color::Never,
        _ => Color::Auto,
    }))
}

/// What `--color` says.
pub(crate) fn color_of(matches: &ArgMatches) -> Color {
    matches.get_one("color").copied().unwrap_or(Color::Auto)
}

/// What `--batch` and `--keep-going` say.
pub(crate) fn batch_of(matches: &ArgMatches) -> Result<Option<batch::Options>, Failure> {
    let keep_going = matches.get_flag("keep-going");
    match matches.get_one::<String>("batch") {
        Some(file) => Ok(Some(batch::Options {
            file: file.clone(),
            keep_going,
        })),
        None if keep_going => Err(Failure::usage("--keep-going only goes with --batch.")),
        None => Ok(None),
    }
}

/// What arguments ask for.
pub(crate) enum Parsed {
    /// To be told of the command: its help or its version.
    Text(String),
    /// To run it with these options.
    Options(ArgMatches),
}

/// Takes the arguments of a command that has the [`general`] options apart. Label and debugging are
/// set in `program`, and whether there is to be JSON.
pub(crate) fn parse(
    definition: fn(&str) -> Command,
    program: &mut Program,
    args: &[String],
) -> Result<Parsed, Failure> {
    let result = definition(program.name())
        .no_binary_name(true)
        .try_get_matches_from(args);
    match result {
        Ok(matches) => {
            if let Some(label) = matches.get_one::<String>("label") {
                program.set_label(label);
            }
            program.debug |= matches.get_flag("debug");
            program.json |= matches!(matches.try_get_one::<bool>("json"), Ok(Some(true)));
            Ok(Parsed::Options(matches))
        }
        Err(error) => {
            if let Some(label) = find_label(args) {
                program.set_label(label);
            }
            program.json = wants_json(args);
            match error.kind() {
                ErrorKind::DisplayHelp => Ok(Parsed::Text(
                    definition(&program.to_string()).render_help().to_string(),
                )),
                ErrorKind::DisplayVersion => Ok(Parsed::Text(program.version())),
                _ => Err(explain(&definition(program.name()), program, &error)),
            }
        }
    }
}

/// Whether results are to be told as JSON, of arguments that may make no sense.
pub(crate) fn wants_json(args: &[String]) -> bool {
    args.iter().any(|arg| arg == "--json")
}

/// The label in arguments that make no sense.
pub(crate) fn find_label(args: &[String]) -> Option<&str> {
    let at = args.iter().position(|arg| arg.starts_with("--label"))?;
    match args[at].split_once('=') {
        Some((_, label)) => Some(label),
        None => args.get(at + 1).map(String::as_str),
    }
}

/// The first line of what is wrong, with what may have been meant; the rest is usage. `definition`
/// lets options be shortened.
pub(crate) fn explain(definition: &Command, program: &Program, error: &clap::Error) -> Failure {
    let see = text::see_help(program);
    if let Some(ambiguity) = ambiguity(definition, error) {
        return Failure::usage(format!("{ambiguity}.{see}"));
    }
    Failure::usage(format!("{}{}{see}", first_line(error), guess(error)))
}

/// What is wrong, in clap's words.
pub(crate) fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// What a shortened option could stand for, if that is why it is unknown. In the words of
/// `getopt_long`.
fn ambiguity(definition: &Command, error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let short = argument.split('=').next()?.strip_prefix("--")?;
    let possible: Vec<_> = definition
        .get_arguments()
        .filter_map(|option| option.get_long())
        .filter(|long| long.starts_with(short))
        .map(|long| format!(" '--{long}'"))
        .collect();
    let is_it = error.kind() == ErrorKind::UnknownArgument && possible.len() > 1;
    is_it.then(|| {
        format!(
            "option '--{short}' is ambiguous; possibilities:{}",
            possible.concat()
        )
    })
}

/// The end of a sentence about something unknown: what may have been meant.
pub(crate) fn guess(error: &clap::Error) -> String {
    let known = [ContextKind::SuggestedArg, ContextKind::SuggestedValue];
    let word = known.into_iter().find_map(|kind| match error.get(kind)? {
        ContextValue::String(word) => Some(word),
        ContextValue::Strings(words) => words.first(),
        _ => None,
    });
    match word {
        Some(word) => format!(", did you mean '{word}'?"),
        None => ".".to_owned(),
    }
}
