// SPDX-License-Identifier: GPL-2.0

//! Which shared libraries a program needs, as the system's own loader sees it; or, for a program of
//! another architecture, as the program says.

use anyhow::{Context, Result, bail};
use elf::{ElfBytes, abi::DT_NEEDED, endian::AnyEndian};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Where Debian has the libraries for arm64.
const LIBRARIES: &str = "/usr/lib/aarch64-linux-gnu";

/// Program header type of the path of the loader.
const PT_INTERP: u32 = 3;

/// Returns the loader and all libraries the program at `path` needs, each as the absolute path
/// the loader will look for.  A static program, or a script, needs none.
pub fn needed(path: &Path) -> Result<Vec<PathBuf>> {
    let content = fs::read(path).with_context(|| path.display().to_string())?;
    let Some(loader) = interpreter(&content) else {
        return Ok(Vec::new());
    };
    let absolute = fs::canonicalize(path)?;
    let output = Command::new(&loader)
        .arg("--list")
        .arg(&absolute)
        .env_remove("LD_LIBRARY_PATH")
        .env_remove("LD_PRELOAD")
        .output()
        .with_context(|| format!("{}: cannot run its loader {loader}", path.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{}: {loader} --list: {}", path.display(), said.trim());
    }
    let mut libraries = parse_list(&String::from_utf8_lossy(&output.stdout))
        .with_context(|| path.display().to_string())?;
    // The loader lists itself under the name that libc asks for; the kernel looks for this one.
    libraries.push(PathBuf::from(loader));
    libraries.sort();
    libraries.dedup();
    Ok(libraries)
}

/// Returns the same for a program whose loader does not run here, of the libraries below `root`.
pub fn needed_in(root: &Path, path: &Path) -> Result<Vec<PathBuf>> {
    let content = fs::read(path).with_context(|| path.display().to_string())?;
    let Some(loader) = interpreter(&content) else {
        return Ok(Vec::new());
    };
    let mut libraries = Vec::new();
    let mut names = names(&content).with_context(|| path.display().to_string())?;
    while let Some(name) = names.pop() {
        // The loader is a library, too.
        if loader.ends_with(&format!("/{name}")) {
            continue;
        }
        let library = Path::new(LIBRARIES).join(&name);
        if !libraries.contains(&library) {
            let file = root.join(library.strip_prefix("/")?);
            let content = fs::read(&file)
                .with_context(|| format!("{}: a library is missing: {name}", path.display()))?;
            names.extend(self::names(&content).with_context(|| file.display().to_string())?);
            libraries.push(library);
        }
    }
    libraries.push(PathBuf::from(loader));
    Ok(libraries)
}

/// Returns the names of the libraries that a program or a library itself asks for.
fn names(content: &[u8]) -> Result<Vec<String>> {
    let elf = ElfBytes::<AnyEndian>::minimal_parse(content)?;
    let common = elf.find_common_data()?;
    let (Some(dynamic), Some(strings)) = (common.dynamic, common.dynsyms_strs) else {
        return Ok(Vec::new());
    };
    let needed = dynamic.iter().filter(|entry| entry.d_tag == DT_NEEDED);
    needed
        .map(|entry| Ok(strings.get(usize::try_from(entry.d_val())?)?.to_owned()))
        .collect()
}

/// Returns the loader a 64-bit little-endian ELF program asks for.
pub fn interpreter(elf: &[u8]) -> Option<String> {
    let u16_at = |at: usize| Some(u16::from_le_bytes(bytes_at(elf, at)?));
    let u32_at = |at: usize| Some(u32::from_le_bytes(bytes_at(elf, at)?));
    let offset_at = |at: usize| usize::try_from(u64::from_le_bytes(bytes_at(elf, at)?)).ok();

    if !elf.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let table = offset_at(0x20)?;
    let entry_size = usize::from(u16_at(0x36)?);
    let entries = usize::from(u16_at(0x38)?);
    for i in 0..entries {
        let header = table.checked_add(i.checked_mul(entry_size)?)?;
        if u32_at(header)? == PT_INTERP {
            let start = offset_at(header.checked_add(0x08)?)?;
            let size = offset_at(header.checked_add(0x20)?)?;
            let path = elf.get(start..start.checked_add(size)?)?;
            let path = path.split(|&byte| byte == 0).next()?;
            return String::from_utf8(path.to_vec()).ok();
        }
    }
    None
}

fn bytes_at<const N: usize>(data: &[u8], at: usize) -> Option<[u8; N]> {
    data.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// Reads lines like `libc.so.6 => /lib/libc.so.6 (0x7f…)` and `/lib64/ld.so (0x7f…)`.
fn parse_list(list: &str) -> Result<Vec<PathBuf>> {
    let mut libraries = Vec::new();
    for line in list.lines() {
        let line = line.trim();
        let found = line.split_once(" => ").map_or(line, |(_, found)| found);
        if found == "not found" {
            bail!("a library is missing: {line}");
        }
        if found.starts_with('/') {
            // Only the address in parentheses follows the path.
            let path = found.rsplit_once(" (").map_or(found, |(path, _)| path);
            libraries.push(PathBuf::from(path));
        }
    }
    Ok(libraries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_loaders_list_is_understood() {
        let list = "\tlinux-vdso.so.1 (0x00007ffd)\n\
                    \tlibgcc_s.so.1 => /lib/x86_64-linux-gnu/libgcc_s.so.1 (0x00007f01)\n\
                    \tlibc.so.6 => /opt/a b/libc.so.6 (0x00007f02)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f03)\n";
        let expected = [
            "/lib/x86_64-linux-gnu/libgcc_s.so.1",
            "/opt/a b/libc.so.6",
            "/lib64/ld-linux-x86-64.so.2",
        ];
        assert_eq!(parse_list(list).unwrap(), expected.map(PathBuf::from));
        assert!(parse_list("\tstatically linked\n").unwrap().is_empty());
    }

    #[test]
    fn a_missing_library_is_an_error() {
        let error = parse_list("\tlibx.so.1 => not found\n").unwrap_err();
        assert!(error.to_string().contains("libx.so.1"), "{error}");
    }

    #[test]
    fn this_very_program_is_resolved() {
        let own = std::env::current_exe().unwrap();
        let libraries = needed(&own).unwrap();
        match interpreter(&fs::read(&own).unwrap()) {
            Some(loader) => {
                assert!(libraries.contains(&PathBuf::from(loader)));
                assert!(libraries.len() > 1, "{libraries:?}");
                assert!(libraries.iter().all(|path| path.is_file()));
            }
            None => assert!(libraries.is_empty()),
        }
    }

    #[test]
    fn a_program_says_itself_what_it_needs() {
        let own = std::env::current_exe().unwrap();
        let said = names(&fs::read(&own).unwrap()).unwrap();
        let libraries = needed(&own).unwrap();
        for name in said {
            let mut found = libraries.iter();
            assert!(found.any(|path| path.ends_with(&name)), "{name}");
        }
    }

    #[test]
    fn libraries_of_another_root_bring_theirs() {
        let root = tempfile::tempdir().unwrap();
        let libraries = root.path().join(LIBRARIES.trim_start_matches('/'));
        fs::create_dir_all(&libraries).unwrap();
        let own = std::env::current_exe().unwrap();
        let missing = needed_in(root.path(), &own).unwrap_err().to_string();
        assert!(missing.contains("a library is missing"), "{missing}");

        let expected = needed(&own).unwrap();
        for library in &expected {
            fs::copy(library, libraries.join(library.file_name().unwrap())).unwrap();
        }
        let file_names = |paths: &[PathBuf]| {
            let mut names: Vec<_> = paths.iter().map(|path| path.file_name().unwrap()).collect();
            names.sort();
            names
                .into_iter()
                .map(|name| name.to_owned())
                .collect::<Vec<_>>()
        };
        let found = needed_in(root.path(), &own).unwrap();
        assert_eq!(file_names(&found), file_names(&expected));
    }

    #[test]
    fn a_script_needs_nothing() {
        let script = tempfile::NamedTempFile::new().unwrap();
        fs::write(script.path(), "#!/bin/sh\n").unwrap();
        assert!(needed(script.path()).unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn damaged_programs_do_no_harm(tail in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut elf = b"\x7fELF\x02\x01".to_vec();
            elf.extend(tail);
            let _ = interpreter(&elf);
        }
    }
}
