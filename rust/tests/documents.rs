// SPDX-License-Identifier: GPL-2.0

//! What the code and its documents cite is there: "contract 12" is an item of
//! `rust/doc/contract.md`, "reference 4.9" a section of `rust/doc/reference.md`, and links between
//! pages lead to files and headings.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every text file below these folders and at the top, from the root of the project.
fn texts() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = ["include", "rust", "scripts", "userspace"]
        .map(PathBuf::from)
        .into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).expect("a folder") {
            let entry = entry.expect("an entry");
            let path = folder.join(entry.file_name());
            if entry.file_type().expect("a type").is_dir() {
                if entry.file_name() != "target" && entry.file_name() != "corpus" {
                    folders.push(path);
                }
            } else {
                found.push(path);
            }
        }
    }
    for entry in fs::read_dir(root()).expect("the project") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("a type").is_file() {
            found.push(entry.file_name().into());
        }
    }
    let is_text = |path: &PathBuf| {
        let name = path.file_name().expect("a name").to_string_lossy();
        let end = name.rsplit('.').next().unwrap_or_default();
        [
            "rs", "c", "h", "md", "sh", "txt", "toml", "config", "Makefile", "Kbuild",
        ]
        .contains(&end)
            || end.len() == 1
    };
    let names = found.iter().filter(|path| is_text(path));
    names
        .map(|path| path.to_str().expect("a plain name").to_owned())
        .collect()
}

/// The text without the ends of lines and what comments begin lines with.
fn flowing(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line = line.trim_start();
        line.trim_start_matches("//!")
            .trim_start_matches("///")
            .trim_start_matches("//")
            .trim_start_matches("* ")
            .trim()
    });
    lines.collect::<Vec<_>>().join(" ")
}

/// The numbers after `word`, as in "reference 1.2, 1.3 and 1.6" and "contract 2 to 4".
fn cited(text: &str, word: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (start, _) in text.match_indices(word) {
        let before = text[..start].chars().next_back();
        if before.is_some_and(char::is_alphanumeric) {
            continue;
        }
        let mut rest = &text[start + word.len()..];
        while let Some(number) = [", ", " and ", " to ", " "]
            .iter()
            .find_map(|between| rest.strip_prefix(between))
            .filter(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
        {
            let end = number
                .find(|next: char| !next.is_ascii_digit() && next != '.')
                .unwrap_or(number.len());
            found.insert(number[..end].trim_end_matches('.').to_owned());
            rest = number[..end]
                .strip_suffix('.')
                .map_or(&number[end..], |_| "");
        }
    }
    found
}

/// The numbers of items, `12. …` at the beginning of a line.
fn items(page: &str) -> BTreeSet<String> {
    let numbers = page.lines().filter_map(|line| line.split_once(". "));
    numbers
        .filter(|(number, _)| number.parse::<u32>().is_ok())
        .map(|(number, _)| number.to_owned())
        .collect()
}

/// The numbers of headings, `### 4.9 GET`.
fn sections(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    headings
        .filter_map(|line| line.split_whitespace().nth(1))
        .map(|number| number.trim_end_matches('.').to_owned())
        .collect()
}

#[test]
fn what_is_cited_is_there() {
    let contract = items(&read("rust/doc/contract.md"));
    let reference = sections(&read("rust/doc/reference.md"));
    assert!(contract.len() > 25 && reference.len() > 80);
    let (mut files, mut missing) = (0, Vec::new());
    for path in texts() {
        if path.ends_with("tests/documents.rs") {
            continue;
        }
        let Ok(text) = fs::read_to_string(root().join(&path)) else {
            continue;
        };
        let text = flowing(&text);
        let mut any = false;
        for (word, known) in [("contract", &contract), ("reference", &reference)] {
            for number in cited(&text, word) {
                any = true;
                if !known.contains(&number) {
                    missing.push(format!("{path}: {word} {number}"));
                }
            }
        }
        files += usize::from(any);
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(files > 20, "only {files} files cite anything");
}

#[test]
fn citations_are_read_as_they_are_written() {
    for (text, word, numbers) in [
        ("(contract 12)", "contract", &["12"][..]),
        ("contract 2 to 4, reference 5)", "contract", &["2", "4"]),
        ("contract 2 to 4, reference 5)", "reference", &["5"]),
        (
            "(reference 1.2, 1.3 and 1.6).",
            "reference",
            &["1.2", "1.3", "1.6"],
        ),
        ("reference 2.1, checks 5 to 10", "reference", &["2.1"]),
        ("as reference 5. It", "reference", &["5"]),
        ("subcontract 7, a reference to 5", "contract", &[]),
    ] {
        let found = cited(text, word);
        assert!(found.iter().eq(numbers), "{text}: {found:?}");
    }
    assert_eq!(
        flowing("//! one (reference 4.7 and\n//! 3.6)"),
        "one (reference 4.7 and 3.6)"
    );
}

/// The name that a heading has in links, as GitHub and GitLab make it.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[test]
fn links_lead_somewhere() {
    let pages: Vec<String> = texts()
        .into_iter()
        .filter(|path| path.ends_with(".md"))
        .collect();
    assert!(pages.len() > 8, "{pages:?}");
    let (mut links, mut broken) = (0, Vec::new());
    for page in &pages {
        for (_, target) in read(page).split("](").skip(1).filter_map(|rest| {
            let end = rest.find(')')?;
            Some(((), &rest[..end]))
        }) {
            if target.contains("://") {
                continue;
            }
            links += 1;
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() {
                root().join(page)
            } else {
                root().join(page).parent().expect("a folder").join(file)
            };
            let leads = path.exists()
                && (heading.is_empty()
                    || fs::read_to_string(&path).is_ok_and(|text| {
                        text.lines()
                            .filter(|line| line.starts_with('#'))
                            .any(|line| anchor(line) == heading)
                    }));
            if !leads {
                broken.push(format!("{page}: {target}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(links > 20, "only {links} links");
}
