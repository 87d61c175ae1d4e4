// SPDX-License-Identifier: GPL-2.0

//! Options that several commands have, and what is said of options that make no sense.
//!
//! Each command has one definition of its options, a [`clap::Command`], from which arguments are
//! read and its help text is made.

use crate::{
    console::Console, failure::Failure, given::Given, optionsfrom, program::Program,
    system::System, text,
};
use clap::{
    Arg, ArgAction, ArgMatches, Command,
    builder::{PossibleValuesParser, TypedValueParser},
    error::{ContextKind, ContextValue, ErrorKind},
    parser::ValueSource,
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

/// `--optionsfrom`.
pub(crate) fn optionsfrom() -> Arg {
    value(
        optionsfrom::OPTION,
        "FILE",
        "Go on with the options in a file, then with those that follow",
    )
    .action(ArgAction::Append)
}

/// `--help` and `--version`. They are looked at when all is read, so that what is given beside them
/// counts.
pub(crate) fn help_and_version() -> [Arg; 2] {
    [
        flag("help", "Print this text").short('h'),
        flag("version", "Print the version").short('V'),
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
pub(crate) fn color_of(given: &Given) -> Color {
    given.value("color").unwrap_or(Color::Auto)
}

/// The definition of a command, to which its options are to be added.
pub(crate) fn command(name: &'static str, about: &'static str) -> Command {
    Command::new(name)
        .about(about)
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_flag(true)
        .disable_version_flag(true)
        .no_binary_name(true)
}

/// The options that go with all that a command can be asked for.
pub(crate) const ALWAYS: [&str; 5] = ["label", "debug", "json", "color", optionsfrom::OPTION];

/// The options that a line of a batch can't have: those that say how all of it is read and told.
const NOT_IN_A_LINE: [&str; 9] = [
    "batch",
    "keep-going",
    "dry-run",
    "monitor",
    "timestamp",
    "json",
    "debug",
    "color",
    "help",
];

/// What arguments ask for.
pub(crate) enum Parsed {
    /// The help of the command.
    Help,
    /// Its version.
    Version,
    /// To run it with these options.
    Given(Given),
}

/// Why arguments make no sense.
enum Bad {
    /// They don't fit the definition.
    Arguments(clap::Error),
    /// What they name can't be read.
    Failure(Failure),
}

/// Reads the arguments of a command that has the [`general`] options. What they say of messages is
/// set in `program`, also if they make no sense: as far as they do.
pub(crate) fn parse(
    definition: &mut Command,
    args: &[String],
    program: &mut Program,
    system: &mut impl System,
) -> Result<Parsed, Failure> {
    let mut given = Given::default();
    let result = read(definition, args, &mut given, &mut 0, system);
    if let Some(label) = given.text("label") {
        program.set_label(label);
    }
    program.debug |= given.flag("debug");
    program.json |= given.flag("json");
    if given.flag("help") {
        return Ok(Parsed::Help);
    }
    if given.flag("version") {
        return Ok(Parsed::Version);
    }
    match result {
        Ok(()) => Ok(Parsed::Given(given)),
        Err(Bad::Arguments(error)) => Err(explain(definition, program, error)),
        Err(Bad::Failure(failure)) => Err(failure),
    }
}

/// Reads the words of a line of a batch.
pub(crate) fn parse_line(
    definition: &mut Command,
    words: &[String],
    program: &mut Program,
    system: &mut impl System,
) -> Result<Given, Failure> {
    let (debug, json) = (program.debug, program.json);
    let parsed = parse(definition, words, program, system);
    // Not the line's to say.
    (program.debug, program.json) = (debug, json);
    let option = match parsed? {
        Parsed::Help => Some("help"),
        Parsed::Version => Some("version"),
        Parsed::Given(given) => match NOT_IN_A_LINE.into_iter().find(|name| given.is_set(name)) {
            None => return Ok(given),
            option => option,
        },
    };
    Err(Failure::usage(format!(
        "--{} can't be given in a line, only for the whole batch.",
        option.unwrap_or_default()
    )))
}

/// The command whose historic program takes `-attach` for `--attach` (reference 8.6).
const ONE_DASH: &str = "tncfg";

/// Arguments with two dashes in front of long options, where one will do.
fn with_two_dashes(definition: &Command, args: &[String]) -> Vec<String> {
    let is_long = |arg: &String| {
        let name = arg.strip_prefix('-').and_then(|it| it.split('=').next());
        let options = || definition.get_arguments().filter_map(clap::Arg::get_long);
        name.is_some_and(|name| name.len() > 1 && options().any(|long| long.starts_with(name)))
    };
    let dashed = args.iter().map(|arg| {
        if definition.get_name() == ONE_DASH && is_long(arg) {
            format!("-{arg}")
        } else {
            arg.clone()
        }
    });
    dashed.collect()
}

/// Adds what these arguments give, and what is in the files that they name, to `given`: as much of
/// it as makes sense.
fn read(
    definition: &mut Command,
    args: &[String],
    given: &mut Given,
    files: &mut usize,
    system: &mut impl System,
) -> Result<(), Bad> {
    let args = &with_two_dashes(definition, args);
    let matches = match definition.try_get_matches_from_mut(args) {
        Ok(matches) => matches,
        Err(error) => {
            let lenient = definition.clone().ignore_errors(true);
            if let Ok(matches) = lenient.try_get_matches_from(args) {
                given.add(matches);
            }
            return Err(Bad::Arguments(error));
        }
    };
    if let Some(option) = given_before(definition, given, &matches) {
        return Err(Bad::Failure(Failure::usage(format!(
            "the argument '{option}' cannot be used multiple times."
        ))));
    }
    let names: Vec<String> = match matches.try_get_many(optionsfrom::OPTION) {
        Ok(names) => names.into_iter().flatten().cloned().collect(),
        Err(_) => Vec::new(),
    };
    given.add(matches);
    for name in names {
        *files += 1;
        if *files == optionsfrom::MAX_FILES {
            return Err(Bad::Failure(Failure::usage(format!(
                "optionsfrom called {files} times, looping?"
            ))));
        }
        let args = optionsfrom::read(&name, system).map_err(Bad::Failure)?;
        read(definition, &args, given, files, system)?;
    }
    Ok(())
}

/// An option that may be given once and was given before, on the command line or in another file.
fn given_before<'d>(
    definition: &'d Command,
    given: &Given,
    matches: &ArgMatches,
) -> Option<&'d Arg> {
    definition
        .get_arguments()
        .filter(|option| matches!(option.get_action(), ArgAction::Set))
        .find(|option| {
            let name = option.get_id().as_str();
            let is_here = matches.value_source(name) == Some(ValueSource::CommandLine);
            is_here && given.is_set(name) && !ALWAYS.contains(&name)
        })
}

/// What is wrong with arguments, and what may have been meant: in the words of the original tools,
/// as far as they had any.
pub(crate) fn explain(definition: &Command, program: &Program, mut error: clap::Error) -> Failure {
    if definition
        .get_arguments()
        .any(|arg| KEYS.contains(&arg.get_id().as_str()))
    {
        hide_keys(&mut error);
    }
    let see = text::see_help(program);
    if let Some(ambiguity) = ambiguity(definition, &error) {
        return Failure::usage(format!("{ambiguity}.{see}"));
    }
    let guess = guess(&error);
    match (error.kind(), text_of(&error, ContextKind::InvalidArg)) {
        (ErrorKind::UnknownArgument, Some(option)) if option.starts_with('-') => {
            Failure::usage(format!("unknown option '{option}'{guess}{see}"))
        }
        (ErrorKind::InvalidValue, Some(option))
            if text_of(&error, ContextKind::InvalidValue) == Some("") =>
        {
            let name = option.split([' ', '=']).next().unwrap_or(option);
            Failure::usage(format!("{name} option requires an argument."))
        }
        _ => Failure::usage(format!("{}{guess}{see}", first_line(&error))),
    }
}

/// A text that belongs to an error.
fn text_of(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text),
        _ => None,
    }
}

/// The options whose values nobody is to see.
const KEYS: [&str; 2] = ["authkey", "enckey"];

/// Takes out of an error what may be a key: one whose option was forgotten, or the blank after it.
fn hide_keys(error: &mut clap::Error) {
    for kind in [ContextKind::InvalidArg, ContextKind::InvalidValue] {
        let Some(text) = text_of(error, kind) else {
            continue;
        };
        let formats = ["0x", "0s", "0t"].into_iter();
        if let Some(at) = formats.filter_map(|format| text.find(format)).min() {
            let text = format!("{}...", &text[..at]);
            error.insert(kind, ContextValue::String(text));
        }
    }
}

/// An argument by its name, as it is typed.
pub(crate) fn shown(name: &str) -> String {
    match name {
        "sa" => "SAs".to_owned(),
        option => format!("--{option}"),
    }
}

/// What is wrong, in clap's words.
fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// What a shortened option could stand for, if that is why it is unknown. In the words of
/// `getopt_long`.
fn ambiguity(definition: &Command, error: &clap::Error) -> Option<String> {
    let argument = text_of(error, ContextKind::InvalidArg)?;
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
fn guess(error: &clap::Error) -> String {
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
