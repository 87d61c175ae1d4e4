// SPDX-License-Identifier: GPL-2.0

//! `rust/doc/protocol.md` is what the code's own tables say. After a change to them:
//! `UPDATE_PROTOCOL=1 cargo test -p klips protocol::`.

use klips::{
    errno::Errno,
    group::MAX_CHAIN,
    pfkey::{
        algorithm::ALGORITHMS, debug::Masks, table, wire::LAYOUTS, Direction, Ext, MsgType,
        SaState, SaType,
    },
    sadb::sa::LARVAL_SECONDS,
};
use std::{fmt::Write, fs, path::Path};

const PAGE: &str = "doc/protocol.md";

/// What is said in words; the tables go where `{{name}}` stands.
const TEMPLATE: &str = include_str!("protocol.template.md");

#[test]
fn the_reference_page_says_what_the_tables_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = page();
    if std::env::var_os("UPDATE_PROTOCOL").is_some() {
        fs::write(&path, &page).expect("the page can be written");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "{PAGE} is out of date: UPDATE_PROTOCOL=1 cargo test -p klips protocol::"
    );
}

fn page() -> String {
    let mut page = TEMPLATE.to_owned();
    for (name, table) in [
        ("messages", messages()),
        ("extensions", extensions()),
        ("layouts", layouts()),
        ("satypes", satypes()),
        ("states", states()),
        ("algorithms", algorithms()),
        ("errnos", errnos()),
        ("masks", masks()),
        ("chain", MAX_CHAIN.to_string()),
        ("larval", LARVAL_SECONDS.to_string()),
    ] {
        let place = format!("{{{{{name}}}}}");
        assert!(page.contains(&place), "no place for {place}");
        page = page.replace(&place, table.trim_end());
    }
    assert!(!page.contains("{{"), "a place without a table");
    page
}

fn names(set: u64) -> String {
    let names: Vec<_> = Ext::ALL
        .iter()
        .filter(|ext| set & ext.bit() != 0)
        .map(|ext| format!("{ext:?}"))
        .collect();
    if names.is_empty() {
        "–".to_owned()
    } else {
        names.join(" ")
    }
}

fn messages() -> String {
    let mut text = String::new();
    for msg_type in MsgType::ALL {
        let _ = writeln!(
            text,
            "### {} {msg_type:?}\n\n{}\n\n| | must have | may have |\n|---|---|---|",
            *msg_type as u8,
            msg_type.doc()
        );
        for (name, direction) in [("request", Direction::In), ("answer", Direction::Out)] {
            let rule = table::extensions(*msg_type, direction);
            let _ = writeln!(
                text,
                "| {name} | {} | {} |",
                names(rule.required),
                names(rule.permitted & !rule.required)
            );
        }
        text.push('\n');
    }
    text
}

fn extensions() -> String {
    let mut text = String::from("| number | name | what it is |\n|---|---|---|\n");
    for ext in Ext::ALL {
        let _ = writeln!(text, "| {} | {ext:?} | {} |", *ext as u16, ext.doc());
    }
    text
}

/// Size and byte order of a type of a layout.
fn size_and_order(ty: &str) -> (usize, &'static str) {
    match ty {
        "u8" => (1, ""),
        "U16" => (2, "host"),
        "U32" => (4, "host"),
        "U64" => (8, "host"),
        "network_endian::U16" => (2, "network"),
        "network_endian::U32" => (4, "network"),
        "ExtHeader" => (4, "host"),
        "[u8; 3]" => (3, ""),
        "[u8; 4]" => (4, "network"),
        "[u8; 8]" => (8, ""),
        "[u8; 16]" => (16, "network"),
        "[U32; 12]" => (48, "host"),
        other => panic!("no size for {other}"),
    }
}

fn layouts() -> String {
    let mut text = String::new();
    for layout in LAYOUTS {
        let _ = writeln!(
            text,
            "### {}, {} bytes\n\n{}\n\n| offset | size | order | field | |\n|---|---|---|---|---|",
            layout.name,
            layout.size,
            layout.doc.join(" ").trim()
        );
        let mut end = 0;
        for field in layout.fields {
            let (size, order) = size_and_order(field.ty);
            assert_eq!(field.offset, end, "{}.{}: a gap", layout.name, field.name);
            end += size;
            let _ = writeln!(
                text,
                "| {} | {size} | {order} | {} | {} |",
                field.offset,
                field.name,
                field.doc.join(" ").trim()
            );
        }
        assert_eq!(end, layout.size, "{}: bytes without a field", layout.name);
        text.push('\n');
    }
    text
}

fn satypes() -> String {
    let mut text =
        String::from("| number | name | in an SAID | IP protocol |\n|---|---|---|---|\n");
    for satype in SaType::ALL {
        let _ = writeln!(
            text,
            "| {} | {satype:?} | `{}` | {} |",
            *satype as u8,
            satype.proto().name(),
            satype.proto() as u8
        );
    }
    text
}

fn states() -> String {
    let mut text = String::from("| number | name | |\n|---|---|---|\n");
    for state in SaState::ALL {
        let _ = writeln!(text, "| {} | {state:?} | {} |", *state as u8, state.doc());
    }
    text
}

fn algorithms() -> String {
    let mut text = String::from(
        "| kind | number | name in `ipsec_spi` | key bits accepted | bits told by REGISTER |\n\
         |---|---|---|---|---|\n",
    );
    for algorithm in ALGORITHMS {
        let bits: Vec<_> = algorithm.key_bits.iter().map(u16::to_string).collect();
        let (min, max) = algorithm.told_bits;
        let _ = writeln!(
            text,
            "| {:?} | {} | {} | {} | {min} to {max} |",
            algorithm.purpose,
            algorithm.id,
            algorithm.proc_name.trim_start_matches('_'),
            bits.join(", ")
        );
    }
    text
}

fn errnos() -> String {
    let mut text = String::from("| number | name | |\n|---|---|---|\n");
    for errno in Errno::ALL {
        let (name, meaning) = errno.describe().expect("each has a description");
        let _ = writeln!(text, "| {} | {name} | {meaning} |", errno.0);
    }
    text
}

fn masks() -> String {
    let names: Vec<_> = Masks::SHOWN
        .iter()
        .map(|part| format!("`debug_{}`", part.name()))
        .collect();
    names.join(", ")
}
