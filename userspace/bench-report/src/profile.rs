// SPDX-License-Identifier: GPL-2.0

//! Where the instructions go: which functions execute them, and how many for one request.

use crate::markdown::{NOTHING, Table, number, percent};
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::{collections::BTreeMap, fs, path::Path};

/// Where user space ends.
const USER: u64 = 1 << 47;
/// Who the memory functions belong to.
const MEMORY: &str = "memory";
/// Functions of the kernel that it and modules use alike: whose instructions those are can't be told.
const MEMORY_FUNCTIONS: [&str; 5] = ["bcmp", "memcmp", "memcpy", "memmove", "memset"];
/// How many functions a table has at most.
const FUNCTIONS: usize = 16;
/// How much of a function's name is shown.
const LONGEST: usize = 72;
/// Functions with a smaller part of the instructions are left out.
const SMALLEST: f64 = 0.01;

/// The instructions of a guest that did one thing again and again.
pub struct Profile {
    /// What it did.
    name: String,
    /// How many instructions each function executed.
    functions: BTreeMap<Function, u64>,
    /// How often each function began.
    begun: BTreeMap<String, u64>,
}

/// A function of the guest, or all that is not the kernel's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Function {
    owner: String,
    name: String,
}

/// A line of the counts.
#[derive(Deserialize)]
struct Count {
    address: String,
    count: u64,
}

/// The function that begins when a module is loaded.
const LOADS: &str = "__x64_sys_finit_module";
/// Functions that wait until nobody has what is to go, or until what was put off is done.
const WAITS: [&str; 4] = [
    "synchronize_rcu",
    "synchronize_rcu_expedited",
    "synchronize_srcu",
    "rcu_barrier",
];

/// What a profile of each kind is divided by: the function that begins for each part, how often it
/// does so, and what the part is called.
fn part(name: &str) -> (&'static str, u32, &'static str) {
    let write = "__x64_sys_sendto";
    match name {
        "refused" => (write, 1, "refused message"),
        "get" => (write, 1, "GET"),
        "add" => (write, 1, "ADD"),
        "delete" => (write, 1, "DELETE"),
        "pair" => (write, 1, "X_GRPSA of a pair"),
        "four" => (write, 1, "X_GRPSA of four"),
        "eroute" => (write, 1, "X_ADDFLOW of a tunnel and ESP"),
        "eroute-af-key" => (write, 2, "ADD and SPDADD, `af_key`"),
        "live" => (write, 1, "ADD of an SA that has a state at once"),
        "live-af-key" => (write, 1, "ADD, `af_key`"),
        "live-group" => (write, 1, "X_GRPSA of such an SA and a tunnel"),
        "load" => (LOADS, 1, "loading and unloading of klips"),
        "load-af-key" => (LOADS, 1, "loading and unloading of `af_key`"),
        "dump" => ("__x64_sys_recvfrom", 1, "SA of a DUMP"),
        "list" => ("klips_listing_page", 1, "page of /proc/net/ipsec_spigrp"),
        _ => (write, 1, "request"),
    }
}

impl Profile {
    /// Reads what "vm profile" left in a directory, named after what was done.
    pub fn read(directory: &Path) -> Result<Self> {
        let context = || directory.display().to_string();
        let name = directory.file_name().with_context(context)?;
        let name = name.to_string_lossy().into_owned();
        let symbols = fs::read_to_string(directory.join("output.log")).with_context(context)?;
        let symbols = symbols_of(&symbols);
        ensure!(!symbols.is_empty(), "{}: no symbols", directory.display());
        let mut reader =
            csv::Reader::from_path(directory.join("counts.csv")).with_context(context)?;
        let mut counts = Vec::new();
        for count in reader.deserialize() {
            let Count { address, count } = count.with_context(context)?;
            counts.push((u64::from_str_radix(&address, 16)?, count));
        }
        Ok(Self::new(name, &symbols, &counts))
    }

    fn new(name: String, symbols: &BTreeMap<u64, Function>, counts: &[(u64, u64)]) -> Self {
        let mut functions = BTreeMap::new();
        let mut begun = BTreeMap::new();
        for (address, count) in counts {
            let function = match symbols.range(..=address).next_back() {
                _ if *address < USER => Function::new("user space", "client"),
                Some((start, function)) => {
                    if start == address {
                        begun.insert(function.name.clone(), *count);
                    }
                    function.clone()
                }
                None => Function::new("kernel", "?"),
            };
            *functions.entry(function).or_default() += count;
        }
        Profile {
            name,
            functions,
            begun,
        }
    }

    /// How many of these instructions one of what was done takes.
    fn each(&self, instructions: u64) -> Option<f64> {
        let (function, times, _) = part(&self.name);
        let begun = *self.begun.get(function)?;
        // CAST: far below what a f64 holds exactly.
        Some(instructions as f64 * f64::from(times) / begun as f64)
    }

    fn total(&self) -> u64 {
        self.functions.values().sum()
    }

    fn of(&self, owned: impl Fn(&str) -> bool) -> u64 {
        let functions = self.functions.iter();
        functions
            .filter(|(function, _)| owned(&function.owner))
            .map(|(_, count)| count)
            .sum()
    }

    fn user(&self) -> u64 {
        self.of(|owner| owner == "user space")
    }

    fn memory(&self) -> u64 {
        self.of(|owner| owner == MEMORY)
    }

    fn module(&self) -> u64 {
        self.of(is_module)
    }

    /// What it is a profile of.
    pub fn title(&self) -> String {
        format!("Instructions of one {}", part(&self.name).2)
    }

    /// The functions that execute most.
    pub fn table(&self) -> Table {
        let mut functions: Vec<_> = self.functions.iter().collect();
        functions.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let mut table = Table::new(["function", "instructions", "part", "of"]);
        let total = self.total();
        let part = |count: u64| count as f64 / total as f64;
        let mut rest = total;
        for (function, count) in functions.into_iter().take(FUNCTIONS) {
            if part(*count) < SMALLEST {
                break;
            }
            rest -= count;
            let cells = [
                number(self.each(*count)),
                percent(part(*count)),
                function.owner.clone(),
            ];
            table.row(&format!("`{}`", function.name), cells);
        }
        let cells = [number(self.each(rest)), percent(part(rest)), String::new()];
        table.row("all others", cells);
        table
    }
}

impl Function {
    fn new(owner: &str, name: &str) -> Self {
        Function {
            owner: owner.to_owned(),
            name: name.to_owned(),
        }
    }
}

/// Whether a function's owner is a module, which has its name in brackets.
fn is_module(owner: &str) -> bool {
    owner.starts_with('[')
}

/// Whose instructions they are, for each thing that was done.
pub fn owners(profiles: &[Profile]) -> Table {
    let mut table = Table::new(["one …", "client", "kernel", "memory", "module", "all"]);
    for profile in profiles {
        let counts = [
            profile.user(),
            profile.of(|owner| owner == "kernel"),
            profile.memory(),
            profile.module(),
            profile.total(),
        ];
        let cells = counts.map(|count| number(profile.each(count)));
        table.row(part(&profile.name).2, cells);
    }
    table
}

/// How often loading and unloading each module waits.
pub fn waits(profiles: &[Profile]) -> Table {
    let of_loads = |profile: &&Profile| part(&profile.name).0 == LOADS;
    let loads: Vec<_> = profiles.iter().filter(of_loads).collect();
    let mut head = vec![String::new()];
    head.extend(loads.iter().map(|profile| part(&profile.name).2.to_owned()));
    let mut table = Table::new(head);
    for function in WAITS {
        let times = |profile: &&Profile| {
            let begun = profile.begun.get(function).copied().unwrap_or_default();
            profile
                .each(begun)
                .map_or(NOTHING.to_owned(), |times| times.to_string())
        };
        table.row(&format!("`{function}`"), loads.iter().map(times));
    }
    table
}

/// Reads the lines of /proc/kallsyms.
fn symbols_of(text: &str) -> BTreeMap<u64, Function> {
    let mut symbols = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some(address), Some(kind), Some(name)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        let Ok(address) = u64::from_str_radix(address, 16) else {
            continue;
        };
        if matches!(kind, "t" | "T" | "w" | "W") {
            let owner = words.next().unwrap_or("kernel");
            let owner = if owner == "kernel" && is_memory_function(name) {
                MEMORY
            } else {
                owner
            };
            symbols.insert(address, Function::new(owner, &demangled(name)));
        }
    }
    symbols
}

/// Whether it is one of them. Some have several names at one address, `__memmove` and
/// `__pi_memset`, or several bodies for different processors, `memset_orig`.
fn is_memory_function(name: &str) -> bool {
    let name = name.trim_start_matches('_').trim_start_matches("pi_");
    MEMORY_FUNCTIONS.contains(&name.trim_end_matches("_orig"))
}

/// A function's name as its source has it, without what clang appends to some; of a long one the
/// beginning.
fn demangled(name: &str) -> String {
    let name = name.split(".llvm.").next().unwrap_or(name);
    let name = format!("{:#}", rustc_demangle::demangle(name));
    match name.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYMBOLS: &str = "ffffffff81000000 T __x64_sys_sendto\n\
                           ffffffff81000100 D data\n\
                           ffffffff81000200 t copy.llvm.123\n\
                           ffffffff81000300 T memset_orig\n\
                           ffffffff81000400 T memmove\n\
                           ffffffff81000400 T __memmove\n\
                           ffffffff81000500 T __x64_sys_finit_module\n\
                           ffffffff81000600 T rcu_barrier\n\
                           ffffffffc0000000 t klips_sendmsg\t[klips]\n\
                           not a symbol\n\
                           ready\n";

    fn profile(name: &str) -> Profile {
        let counts = [
            (0x40_1000, 30),
            (0xffff_ffff_8100_0000, 10),
            (0xffff_ffff_8100_0104, 10),
            (0xffff_ffff_8100_0204, 20),
            (0xffff_ffff_8100_0308, 10),
            (0xffff_ffff_8100_0404, 10),
            (0xffff_ffff_c000_0010, 130),
        ];
        Profile::new(name.to_owned(), &symbols_of(SYMBOLS), &counts)
    }

    #[test]
    fn instructions_are_those_of_the_function_before() {
        let text = profile("get").table().to_string();
        let rows: Vec<_> = text.lines().skip(2).collect();
        assert_eq!(
            rows,
            [
                "| `klips_sendmsg`    |           13 | 59.1 % |    [klips] |",
                "| `client`           |         3.00 | 13.6 % | user space |",
                "| `__x64_sys_sendto` |         2.00 |  9.1 % |     kernel |",
                "| `copy`             |         2.00 |  9.1 % |     kernel |",
                "| `__memmove`        |         1.00 |  4.5 % |     memory |",
                "| `memset_orig`      |         1.00 |  4.5 % |     memory |",
                "| all others         |            0 |  0.0 % |            |",
            ]
        );
    }

    #[test]
    fn loading_waits_so_often() {
        let counts = [(0xffff_ffff_8100_0500, 2), (0xffff_ffff_8100_0600, 10)];
        let load = Profile::new("load".to_owned(), &symbols_of(SYMBOLS), &counts);
        let text = waits(&[profile("get"), load]).to_string();
        let rows: Vec<_> = text.lines().skip(2).collect();
        assert_eq!(rows.len(), WAITS.len());
        assert_eq!(
            rows.last()
                .unwrap()
                .split('|')
                .map(str::trim)
                .collect::<Vec<_>>(),
            ["", "`rcu_barrier`", "5", ""]
        );
    }

    #[test]
    fn instructions_are_summed_by_their_owners() {
        let profiles = ["get", "list", "refused", "eroute-af-key"].map(profile);
        let text = owners(&profiles).to_string();
        let rows: Vec<_> = text.lines().skip(2).collect();
        assert_eq!(
            rows,
            [
                "| GET                      |   3.00 |   4.00 |   2.00 |     13 |  22 |",
                "| refused message          |   3.00 |   4.00 |   2.00 |     13 |  22 |",
                "| ADD and SPDADD, `af_key` |   6.00 |   8.00 |   4.00 |     26 |  44 |",
            ]
        );
    }
}
