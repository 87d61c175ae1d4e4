// SPDX-License-Identifier: GPL-2.0

//! `rust/doc/security.md` names tests that there are.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Sources with tests, by the name of their file, from the root of the project.
fn sources() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut sources = BTreeMap::<String, String>::new();
    for folder in [
        "userspace/guest-tests/src",
        "rust/tests",
        "userspace/testbed/tests",
    ] {
        let files = fs::read_dir(root.join(folder)).expect("a folder");
        let files = files.map(|file| file.expect("a file").path());
        for file in files.filter(|file| file.extension().is_some_and(|end| end == "rs")) {
            let name = file.file_stem().expect("a name").to_string_lossy().into();
            let text = fs::read_to_string(&file).expect("a text");
            sources.entry(name).or_default().push_str(&text);
        }
    }
    sources
}

/// The rows of the second table: a threat, and the tests.
fn rows(page: &str) -> Vec<(String, Vec<String>)> {
    let (_, table) = page.split_once("\n| actor | threat |").expect("a table");
    let lines = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    lines
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            assert_eq!(cells.len(), 4, "{line}");
            let tests = cells[3].split_whitespace();
            let tests = tests.map(|test| test.trim_matches('`').to_owned());
            (cells[1].to_owned(), tests.collect())
        })
        .collect()
}

/// Whether there is such a test: a function, or a step that has its name as a text.
fn exists(sources: &BTreeMap<String, String>, test: &str) -> bool {
    let Some((file, name)) = test.split_once("::") else {
        return false;
    };
    let Some(text) = sources.get(file) else {
        return false;
    };
    text.contains(&format!("\nfn {name}("))
        || text.contains(&format!("    fn {name}("))
        || text.contains(&format!("\"{test}\""))
}

#[test]
fn the_page_names_tests_that_there_are() {
    let page: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("doc/security.md");
    let page = fs::read_to_string(page).expect("the page");
    let sources = sources();
    let rows = rows(&page);
    assert!(rows.len() > 10, "{}", rows.len());
    for (threat, tests) in rows {
        assert!(!tests.is_empty(), "no test stands against: {threat}");
        for test in tests {
            assert!(exists(&sources, &test), "there is no test {test}: {threat}");
        }
    }
    assert!(!exists(&sources, "sockets::no_such_test"));
    assert!(!exists(&sources, "none::sources"));
}
