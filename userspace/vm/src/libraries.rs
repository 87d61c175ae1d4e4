// SPDX-License-Identifier: GPL-2.0

//! Which shared libraries a program needs, as the system's own loader sees it.

use anyhow::{Context, Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

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
