// SPDX-License-Identifier: GPL-2.0

//! The file that tells which process is in the background.

use std::{
    fs::{self, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process,
};

/// A file with the ID of this process, for as long as this lives.
pub(super) struct PidFile(PathBuf);

impl PidFile {
    /// Makes the file. It appears with all that is in it; one that is there is replaced.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let mut file = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o644))
            .tempfile_in(folder)?;
        file.write_all(content().as_bytes())?;
        file.persist(path)?;
        Ok(PidFile(path.to_owned()))
    }
}

fn content() -> String {
    format!("{}\n", process::id())
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Unless another has put its own there.
        if fs::read_to_string(&self.0).is_ok_and(|found| found == content()) {
            // What can't be removed stays behind: there is nothing else to be done at the end.
            let _ = fs::remove_file(&self.0);
        }
    }
}
