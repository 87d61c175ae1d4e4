// SPDX-License-Identifier: GPL-2.0

//! What a module's file is made of: sections by what they are for, and code by the folder of `rust/`
//! that it comes from.

use crate::markdown::{Table, number, percent};
use anyhow::{Context, Result};
use object::{
    Object, ObjectSection, ObjectSymbol, SectionFlags, SymbolKind,
    elf::{SHF_ALLOC, SHF_EXECINSTR},
};
use std::{collections::BTreeMap, fs, path::Path};

/// What sections are for, in the order of the table.
const KINDS: [&str; 4] = [CODE, DATA, UNWINDING, LINKING];
const CODE: &str = "code";
const DATA: &str = "data and strings";
const UNWINDING: &str = "tables for stack traces";
const LINKING: &str = "in the file only: symbols, relocations";
/// The module's own crate, as paths of functions have it.
const CRATE: &str = "klips::";

/// A module's file.
pub struct Module {
    name: String,
    /// Bytes of the sections of each kind.
    kinds: BTreeMap<&'static str, u64>,
    /// Bytes of code by where it comes from.
    parts: BTreeMap<String, u64>,
    /// How much there is of what the kernel works on when it loads the module.
    loading: [u64; LOADING.len()],
}

/// What that is.
const LOADING: [&str; 2] = [
    "places in code that stack traces have an entry for, which are sorted",
    "relocations, which are applied",
];
/// The section of these places, and the bytes of one.
const PLACES: (&str, u64) = (".orc_unwind_ip", 4);

impl Module {
    /// Reads a module's file.
    pub fn read(path: &Path) -> Result<Self> {
        let context = || path.display().to_string();
        let bytes = fs::read(path).with_context(context)?;
        let file = object::File::parse(bytes.as_slice()).with_context(context)?;
        let mut kinds = BTreeMap::new();
        let mut inside = 0;
        let mut loading = [0; LOADING.len()];
        for section in file.sections() {
            let kind = kind_of(section.name()?, section.flags());
            if section.name()? == PLACES.0 {
                loading[0] += section.size() / PLACES.1;
            }
            if kind != LINKING {
                loading[1] += u64::try_from(section.relocations().count())?;
                *kinds.entry(kind).or_default() += section.size();
                inside += section.size();
            }
        }
        // With what is between sections, and the headers.
        let all = u64::try_from(bytes.len())?;
        kinds.insert(LINKING, all.saturating_sub(inside));
        let mut parts = BTreeMap::new();
        for symbol in file.symbols() {
            if symbol.kind() == SymbolKind::Text {
                *parts.entry(part_of(symbol.name()?)).or_default() += symbol.size();
            }
        }
        let name = path.file_stem().unwrap_or_default();
        Ok(Module {
            name: name.to_string_lossy().into_owned(),
            kinds,
            parts,
            loading,
        })
    }
}

fn kind_of(name: &str, flags: SectionFlags) -> &'static str {
    let has = |flag: u32| matches!(flags, SectionFlags::Elf { sh_flags } if sh_flags & u64::from(flag) != 0);
    if !has(SHF_ALLOC) {
        LINKING
    } else if has(SHF_EXECINSTR) {
        CODE
    } else if name.starts_with(".orc_") {
        UNWINDING
    } else {
        DATA
    }
}

/// The folder or file of `rust/` that a function comes from. A generic one is of the first that its
/// name has; what the compiler makes of Rust's own libraries for the module has none.
fn part_of(symbol: &str) -> String {
    let Ok(name) = rustc_demangle::try_demangle(symbol) else {
        return "C".to_owned();
    };
    let name = format!("{name:#}");
    let Some((_, path)) = name.split_once(CRATE) else {
        return "Rust's own".to_owned();
    };
    let end = path.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let folder = path.get(..end.unwrap_or(path.len())).unwrap_or_default();
    match folder.trim_start_matches("klips_") {
        // What the kernel's macro makes.
        "Klips" => "`klips_main`".to_owned(),
        folder => format!("`{folder}`"),
    }
}

/// Bytes by what they are for.
pub fn kinds(modules: &[Module]) -> Table {
    let mut head = vec![String::from("bytes")];
    head.extend(modules.iter().map(|module| module.name.clone()));
    let mut table = Table::new(head);
    for kind in KINDS {
        let of = |module: &Module| module.kinds.get(kind).copied();
        if modules.iter().any(|module| of(module).is_some()) {
            table.row(
                kind,
                modules.iter().map(|module| number(of(module).map(exact))),
            );
        }
    }
    table
}

/// How much the kernel has to do to load each.
pub fn loading(modules: &[Module]) -> Table {
    let mut head = vec![String::new()];
    head.extend(modules.iter().map(|module| module.name.clone()));
    let mut table = Table::new(head);
    for (index, what) in LOADING.into_iter().enumerate() {
        let of = |module: &Module| number(Some(exact(module.loading[index])));
        table.row(what, modules.iter().map(of));
    }
    table
}

/// Bytes of a module's code by where it comes from, the most first.
pub fn code(module: &Module) -> Table {
    let mut table = Table::new(["", "bytes of code", "part"]);
    let all: u64 = module.parts.values().sum();
    let mut parts: Vec<_> = module.parts.iter().collect();
    parts.sort_by_key(|(_, bytes)| std::cmp::Reverse(**bytes));
    for (part, bytes) in parts {
        let cells = [
            number(Some(exact(*bytes))),
            percent(exact(*bytes) / exact(all)),
        ];
        table.row(part, cells);
    }
    table
}

fn exact(bytes: u64) -> f64 {
    // CAST: far below what a f64 holds exactly.
    bytes as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_of_the_folder_that_their_name_begins_with() {
        for (symbol, part) in [
            ("klips_socket_send", "C"),
            ("klips_socket_send.llvm.123", "C"),
            ("_RNvNtNtCs5Ff7orgGTLx_5klips4post5about8describe", "`post`"),
            (
                "_RNvNtNtCs5Ff7orgGTLx_5klips10klips_core6crypto5names",
                "`core`",
            ),
            (
                "_RNvMNtNtCs5Ff7orgGTLx_5klips5flows7plannerINtB2_7PlannerNtNtNtB6_3sys4xfrm4XfrmE7resolveB6_",
                "`flows`",
            ),
            (
                "_RNvMsa_NtCs2DxGA1hvVcO_4core3fmtNtB5_9Formatter9write_fmt",
                "Rust's own",
            ),
        ] {
            assert_eq!(part_of(symbol), part, "{symbol}");
        }
    }

    #[test]
    fn all_of_a_file_is_of_some_kind() {
        let path = std::env::current_exe().unwrap();
        let module = Module::read(&path).unwrap();
        let size = fs::metadata(&path).unwrap().len();
        // What takes no room in the file counts in memory.
        assert!(module.kinds.values().sum::<u64>() >= size);
        assert!(module.kinds[CODE] > 0);
    }
}
