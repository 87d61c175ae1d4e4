// SPDX-License-Identifier: GPL-2.0

//! The manual pages tell of every command and option that there is, and of no other; what they
//! show as examples works.

use crate::common::{K16, K24, Machine};
use clap::Command;
use std::{collections::BTreeSet, fs, path::Path};

/// Options as they are typed, and whether each takes a value.
type Options = BTreeSet<(String, bool)>;

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("man").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The page of a command.
fn page_of(command: &Command) -> String {
    page(&format!("ipsec_{}.8", command.get_name()))
}

/// The options that a definition has, aliases too.
fn defined(command: &Command) -> Options {
    let mut options = Options::new();
    for arg in command.get_arguments().filter(|arg| !arg.is_positional()) {
        let takes_value = arg.get_action().takes_values();
        let long = arg.get_long().into_iter();
        let long = long.chain(arg.get_all_aliases().unwrap_or_default());
        let short = arg.get_short().into_iter();
        options.extend(long.map(|name| (format!("--{name}"), takes_value)));
        options.extend(short.map(|name| (format!("-{name}"), takes_value)));
    }
    options
}

/// The options that a page describes: `.It Fl f Ar file , Fl -daemon Ar file`.
fn documented(page: &str) -> Options {
    page.lines()
        .filter_map(|line| line.strip_prefix(".It Fl "))
        .flat_map(|line| line.split(" , Fl "))
        .map(|option| {
            let (name, value) = option.split_once(' ').unwrap_or((option, ""));
            (format!("-{name}"), value.contains("Ar "))
        })
        .collect()
}

/// The options that a page speaks of anywhere, each with the command it is said of: the one in an
/// example, or else the page's own.
fn mentioned(page: &str, own: &str) -> BTreeSet<(String, String)> {
    let mut mentioned = BTreeSet::new();
    let mut command = own;
    for line in page.lines().filter(|line| !line.starts_with(r#".\""#)) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["#", "ipsec", example, ..] => command = example,
            _ if line.starts_with('.') => command = own,
            _ => (),
        }
        let flags = words
            .windows(2)
            .filter(|pair| pair[0] == "Fl" || pair[0] == ".Fl");
        let flags = flags.map(|pair| format!("-{}", pair[1]));
        let typed = words.iter().filter(|word| word.starts_with("--"));
        mentioned.extend(
            flags
                .chain(typed.map(|word| (*word).to_owned()))
                .map(|option| (command.to_owned(), option)),
        );
    }
    mentioned
}

/// The commands that have a page of their own.
fn with_pages() -> Vec<Command> {
    let mut commands = ipsec_tools::commands();
    commands.retain(|command| !["doctor", "completions"].contains(&command.get_name()));
    assert_eq!(commands.len(), 9);
    commands
}

#[test]
fn each_page_describes_the_options_of_its_command() {
    for command in with_pages() {
        let name = command.get_name();
        assert_eq!(documented(&page_of(&command)), defined(&command), "{name}");
    }
}

#[test]
fn the_programs_page_describes_the_commands_and_their_common_options() {
    let program = ipsec_tools::definition();
    let page = page("ipsec.8");
    let described: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix(".It Cm "))
        .collect();
    let commands: BTreeSet<&str> = program.get_subcommands().map(Command::get_name).collect();
    assert_eq!(described, commands);
    let completions = program.find_subcommand("completions").unwrap();
    let mut options = defined(&program);
    options.extend(defined(completions));
    assert_eq!(documented(&page), options);
    for command in with_pages() {
        let name = command.get_name();
        assert!(options.is_subset(&defined(&command)), "{name}");
        assert!(page.contains(&format!(".Xr ipsec_{name} 8")), "{name}");
    }
}

#[test]
fn no_page_speaks_of_options_that_are_not_there() {
    let program = ipsec_tools::definition();
    let all: Vec<Options> = program.get_subcommands().map(defined).collect();
    let is_known = |command: &str, option: &str| {
        let has = |options: &Options| options.iter().any(|(name, _)| name == option);
        match program.find_subcommand(command) {
            Some(command) => has(&defined(command)),
            // What is not about one command may be about any of them.
            None => all.iter().any(has),
        }
    };
    let with_pages = with_pages();
    let pages = with_pages
        .iter()
        .map(|command| (command.get_name(), page_of(command)));
    let others = [
        "ipsec.8",
        "ipsec_eroute.5",
        "ipsec_spigrp.5",
        "ipsec_spi.5",
        "klips.4",
    ];
    for (name, page) in pages.chain(others.map(|name| (name, page(name)))) {
        for (command, option) in mentioned(&page, name) {
            assert!(is_known(&command, &option), "{name}: {command} {option}");
        }
    }
}

/// The command lines in a page's examples that need no shell.
fn examples(page: &str) -> Vec<String> {
    let (_, section) = page.split_once("\n.Sh EXAMPLES\n").expect("examples");
    let (section, _) = section.split_once("\n.Sh ").expect("another section");
    section
        .replace("\\e\n", "")
        .lines()
        .filter_map(|line| line.strip_prefix("# "))
        .filter(|line| line.starts_with("ipsec ") && !line.contains(['>', '|', '$']))
        .map(str::to_owned)
        .collect()
}

/// The pages of this folder that a page refers to: `.Xr ipsec_spi 8`.
fn references(page: &str) -> BTreeSet<String> {
    let references = page.lines().filter_map(|line| line.strip_prefix(".Xr "));
    let words = references.map(|line| line.split_whitespace().collect::<Vec<_>>());
    let names = words.filter(|words| words[0].starts_with("ipsec") || words[0] == "klips");
    names
        .map(|words| format!("{}.{}", words[0], words[1]))
        .collect()
}

#[test]
fn every_page_that_another_refers_to_exists() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("man");
    let files = fs::read_dir(&folder).unwrap();
    let names: BTreeSet<String> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    for name in &names {
        for reference in references(&page(name)) {
            assert!(names.contains(&reference), "{name} refers to {reference}");
        }
    }
    // Those that spigrp's page of old named.
    let old = references(&page("ipsec_spigrp.8"));
    for name in [
        "ipsec.8",
        "ipsec_manual.8",
        "ipsec_eroute.8",
        "ipsec_spi.8",
        "ipsec_klipsdebug.8",
        "ipsec_tncfg.8",
        "ipsec_spigrp.5",
    ] {
        assert!(old.contains(name), "{name}");
    }
}

/// The file of connections in a page's examples.
fn connections(page: &str) -> String {
    let Some((_, text)) = page.split_once("\nconn ") else {
        return String::new();
    };
    format!("conn {}", text.split(".Ed\n").next().unwrap_or_default())
}

#[test]
fn examples_work() {
    let mut pages = vec![page("ipsec.8")];
    pages.extend(with_pages().iter().map(page_of));
    for page in pages {
        let mut machine = Machine::new();
        machine.files = [
            ("esp.key", format!("enckey {K24}\n")),
            ("ah.key", format!("authkey {K16}00112233\n")),
            ("/etc/klips.groups", "# none yet\n".to_owned()),
            ("/etc/klips/ipsec.conf", connections(&page)),
        ]
        .map(|(name, text)| (name.to_owned(), text.into_bytes()))
        .into();
        let lines = examples(&page);
        assert!(!lines.is_empty());
        for line in lines {
            assert_eq!(machine.run(&line), 0, "{}", machine.transcript);
        }
    }
}
