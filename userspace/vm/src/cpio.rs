// SPDX-License-Identifier: GPL-2.0

//! Writes "newc" cpio archives, the format the kernel unpacks as its initramfs.
//!
//! Everything belongs to root and device nodes are plain archive entries, so no privilege is
//! needed to build one, and the same content always gives the same bytes.

use anyhow::{Context, Result, bail, ensure};
use std::collections::{BTreeMap, btree_map::Entry as Slot};

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;
const CHARACTER: u32 = 0o020_000;

/// What an entry of the archive is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A directory with its permission bits.
    Directory(u32),
    /// A regular file with its permission bits and content.
    File(u32, Vec<u8>),
    /// A symbolic link with its target.
    Symlink(String),
    /// A character device with its permission bits, major and minor number.
    Device(u32, u32, u32),
}

/// A tree of files under construction.
///
/// The map's order puts every directory before what it contains, as the kernel requires.
#[derive(Default)]
pub struct Archive {
    nodes: BTreeMap<String, Node>,
}

impl Archive {
    /// Adds `node` at `path`, and the directories above it that do not exist yet.
    ///
    /// A later file replaces an earlier one; a directory stays what it is.
    pub fn add(&mut self, path: &str, node: Node) -> Result<()> {
        let path = path.trim_start_matches('/');
        let sound = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
        ensure!(path.split('/').all(sound), "no usable guest path: /{path}");

        for (end, _) in path.match_indices('/') {
            let parent = &path[..end];
            match self.nodes.entry(parent.to_owned()) {
                Slot::Vacant(slot) => {
                    slot.insert(Node::Directory(0o755));
                }
                Slot::Occupied(slot) => ensure!(
                    matches!(slot.get(), Node::Directory(_)),
                    "/{path}: /{parent} is not a directory"
                ),
            }
        }
        match self.nodes.entry(path.to_owned()) {
            Slot::Vacant(slot) => {
                slot.insert(node);
            }
            Slot::Occupied(mut slot) => {
                let is = |n: &Node| matches!(n, Node::Directory(_));
                if is(slot.get()) != is(&node) {
                    bail!("/{path} cannot be both a directory and something else");
                }
                slot.insert(node);
            }
        }
        Ok(())
    }

    /// Tells whether something is at `path` already.
    pub fn contains(&self, path: &str) -> bool {
        self.nodes.contains_key(path.trim_start_matches('/'))
    }

    /// Serializes the tree.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        for (ino, (path, node)) in (1..).zip(&self.nodes) {
            let (mode, device, data) = match node {
                Node::Directory(mode) => (DIRECTORY | mode, (0, 0), &[][..]),
                Node::File(mode, data) => (REGULAR | mode, (0, 0), &data[..]),
                Node::Symlink(target) => (SYMLINK | 0o777, (0, 0), target.as_bytes()),
                Node::Device(mode, major, minor) => (CHARACTER | mode, (*major, *minor), &[][..]),
            };
            entry(&mut out, ino, mode, device, path, data).with_context(|| format!("/{path}"))?;
        }
        entry(&mut out, 0, 0, (0, 0), "TRAILER!!!", &[])?;
        Ok(out)
    }
}

/// Appends one entry: 13 fields of 8 hex digits after the magic, then name and data, each
/// padded to a multiple of four bytes.
fn entry(
    out: &mut Vec<u8>,
    ino: u32,
    mode: u32,
    (major, minor): (u32, u32),
    path: &str,
    data: &[u8],
) -> Result<()> {
    let size = u32::try_from(data.len()).context("too large for an initramfs")?;
    let name_size = u32::try_from(path.len() + 1)?;
    let links = if mode & DIRECTORY == DIRECTORY { 2 } else { 1 };
    let (uid, gid, mtime, checksum) = (0, 0, 0, 0);

    out.extend_from_slice(b"070701");
    for field in [
        ino, mode, uid, gid, links, mtime, size, 0, 0, major, minor, name_size, checksum,
    ] {
        out.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    out.extend_from_slice(path.as_bytes());
    out.push(0);
    pad(out);
    out.extend_from_slice(data);
    pad(out);
    Ok(())
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::{
        io::Write,
        process::{Command, Stdio},
    };

    /// Reads an archive back: (path, node) in the order they were written.
    pub fn read(bytes: &[u8]) -> Vec<(String, Node)> {
        let mut nodes = Vec::new();
        let mut at = 0;
        loop {
            assert_eq!(&bytes[at..at + 6], b"070701");
            let field = |i: usize| {
                let text = std::str::from_utf8(&bytes[at + 6 + 8 * i..][..8]).unwrap();
                u32::from_str_radix(text, 16).unwrap()
            };
            let (mode, size, name_size) = (field(1), field(6) as usize, field(11) as usize);
            let (major, minor) = (field(9), field(10));
            let name = String::from_utf8(bytes[at + 110..][..name_size - 1].to_vec()).unwrap();
            assert_eq!(bytes[at + 110 + name_size - 1], 0);
            let start = (at + 110 + name_size).next_multiple_of(4);
            let data = bytes[start..start + size].to_vec();
            at = (start + size).next_multiple_of(4);

            if name == "TRAILER!!!" {
                assert_eq!(at, bytes.len());
                return nodes;
            }
            let node = match mode & 0o170_000 {
                DIRECTORY => Node::Directory(mode & 0o7777),
                REGULAR => Node::File(mode & 0o7777, data),
                SYMLINK => Node::Symlink(String::from_utf8(data).unwrap()),
                CHARACTER => Node::Device(mode & 0o7777, major, minor),
                other => panic!("{name}: type {other:o}"),
            };
            nodes.push((name, node));
        }
    }

    fn sample() -> Archive {
        let mut archive = Archive::default();
        let mut add = |path, node| archive.add(path, node).unwrap();
        add("/usr/bin/tool", Node::File(0o755, b"#!/bin/sh\n".to_vec()));
        add("/usr/bin/alias", Node::Symlink("tool".into()));
        add("/dev/console", Node::Device(0o600, 5, 1));
        add("/tmp", Node::Directory(0o1777));
        add("/empty", Node::File(0o644, Vec::new()));
        archive
    }

    #[test]
    fn what_was_written_can_be_read_back() {
        let nodes = read(&sample().to_bytes().unwrap());
        let expected = [
            ("dev", Node::Directory(0o755)),
            ("dev/console", Node::Device(0o600, 5, 1)),
            ("empty", Node::File(0o644, vec![])),
            ("tmp", Node::Directory(0o1777)),
            ("usr", Node::Directory(0o755)),
            ("usr/bin", Node::Directory(0o755)),
            ("usr/bin/alias", Node::Symlink("tool".into())),
            ("usr/bin/tool", Node::File(0o755, b"#!/bin/sh\n".to_vec())),
        ];
        assert_eq!(nodes, expected.map(|(path, node)| (path.to_owned(), node)));
    }

    #[test]
    fn parents_precede_children_whatever_the_names() {
        let mut archive = Archive::default();
        for path in ["a/b/c", "a-b", "a.d/x", "a/b-c"] {
            archive.add(path, Node::File(0o644, vec![])).unwrap();
        }
        let names: Vec<_> = read(&archive.to_bytes().unwrap())
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        for (i, name) in names.iter().enumerate() {
            if let Some((parent, _)) = name.rsplit_once('/') {
                assert!(names[..i].iter().any(|n| n == parent), "{names:?}");
            }
        }
    }

    #[test]
    fn unusable_paths_and_clashes_are_refused() {
        let mut archive = sample();
        let file = || Node::File(0o644, vec![]);
        for path in [
            "",
            "/",
            "a/../b",
            "./a",
            "a//b",
            "nul\0",
            "empty/below",
            "usr",
        ] {
            assert!(archive.add(path, file()).is_err(), "{path:?}");
        }
        assert!(archive.add("empty", Node::Directory(0o755)).is_err());
        archive
            .add("empty", Node::File(0o600, b"x".to_vec()))
            .unwrap();
    }

    #[test]
    fn cpio_agrees() {
        let child = Command::new("cpio")
            .args(["-itv", "--quiet"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            return; // No cpio here: the reader above has checked the same.
        };
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&sample().to_bytes().unwrap()).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        let listing = String::from_utf8(output.stdout).unwrap();
        let fields: Vec<Vec<_>> = listing
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert!(output.status.success(), "{listing}");
        assert_eq!(fields.len(), 8, "{listing}");
        assert_eq!(fields[1][0], "crw-------", "{listing}");
        assert_eq!(fields[1][4..6], ["5,", "1"], "{listing}");
        assert!(listing.ends_with(" usr/bin/tool\n"), "{listing}");
        assert!(listing.contains(" usr/bin/alias -> tool\n"), "{listing}");
    }
}
