// SPDX-License-Identifier: GPL-2.0

//! No import runs in a circle, among what lies in `src` and inside each command's folder: what is
//! below knows nothing of what is above it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The names that each module imports from those beside it.
type Imports = BTreeMap<String, BTreeSet<String>>;

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// The name of the module that a file or a folder is.
fn module(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().to_owned()
}

/// The first names of the paths that a text imports behind `prefix`: `a` and `b` of
/// `use crate::{a::{self, x}, b};`.
fn imported(text: &str, prefix: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for statement in text.split("use ").skip(1) {
        let statement = statement.split(';').next().unwrap_or_default();
        let Some(paths) = statement.strip_prefix(prefix) else {
            continue;
        };
        let (mut depth, mut name, mut in_name) = (0, String::new(), true);
        for c in paths.chars().chain([',']) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth <= 1 => {
                    names.insert(std::mem::take(&mut name));
                    in_name = true;
                }
                c if in_name && (c.is_alphanumeric() || c == '_') => name.push(c),
                c if c.is_whitespace() => (),
                _ => in_name = false,
            }
        }
    }
    names.remove("");
    names
}

/// What a module and all in its folder imports.
fn imports_of(path: &Path, prefix: &str) -> BTreeSet<String> {
    if path.is_dir() {
        let inside = sources(path);
        return inside
            .iter()
            .flat_map(|path| imports_of(path, prefix))
            .collect();
    }
    imported(&fs::read_to_string(path).unwrap(), prefix)
}

/// The modules of a folder and what they import of each other.
fn imports(folder: &Path, prefix: &str) -> Imports {
    let all = sources(folder);
    let mut imports: Imports = all
        .iter()
        .filter(|path| !["lib", "main", "mod"].contains(&module(path).as_str()))
        .map(|path| (module(path), imports_of(path, prefix)))
        .collect();
    let modules: BTreeSet<_> = imports.keys().cloned().collect();
    for (module, imported) in &mut imports {
        imported.retain(|name| name != module && modules.contains(name));
    }
    imports
}

/// Takes away what imports nothing that is left; the modules of circles are what stays.
fn circles(mut imports: Imports) -> Imports {
    loop {
        let left: BTreeSet<_> = imports.keys().cloned().collect();
        imports.retain(|_, imported| imported.iter().any(|name| left.contains(name)));
        if imports.len() == left.len() {
            return imports;
        }
    }
}

#[test]
fn no_import_runs_in_a_circle() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let all = imports(&src, "crate::");
    // The test sees what there is.
    assert!(all["batch"].contains("requests") && all["eroute"].contains("driver"));
    assert_eq!(circles(all), Imports::new());
    for folder in sources(&src).iter().filter(|path| path.is_dir()) {
        let inside = imports(folder, "super::");
        assert!(inside.values().any(|imported| !imported.is_empty()));
        assert_eq!(circles(inside), Imports::new(), "{}", folder.display());
    }
}

#[test]
fn a_circle_is_found() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let imports = Imports::from([
        ("a".to_owned(), names(&["b"])),
        ("b".to_owned(), names(&["c"])),
        ("c".to_owned(), names(&["b", "d"])),
        ("d".to_owned(), names(&[])),
    ]);
    let found: Vec<_> = circles(imports).into_keys().collect();
    // And who leads into it.
    assert_eq!(found, ["a", "b", "c"]);
    let text = "use crate::{\n    a::{self, x::{y, z}},\n    b,\n};\nuse crate::c::d;\nuse std::e;";
    assert_eq!(imported(text, "crate::"), names(&["a", "b", "c"]));
}
