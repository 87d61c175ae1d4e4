// SPDX-License-Identifier: GPL-2.0

//! The file that tells which process is in the background.
//!
//! A path that somebody typed may be anything: a device, a link that another planted in a folder
//! for all, a file with something else in it. So nothing is ever put in the place of what is there.
//! The file is made if there is none; else it is written to where it is, and only if it is a
//! regular file that has a number in it or nothing.
//!
//! For as long as the process lives it has a lock on the file, `flock(2)`, which tells a live owner
//! from one that has died and left its file behind. The path is removed at the end if it is still
//! that of the file that was locked, and the file still has the number that was written.

use rustix::{
    fs::{FlockOperation, OFlags, flock},
    io::Errno,
};
use std::{
    fs::{self, File, Metadata, OpenOptions},
    io,
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process,
};

/// What a process ID and a newline have room in.
const ROOM: usize = 32;

/// How often a file may be removed under our hands before others are taken to be at it.
const TRIES: usize = 10;

/// A file with the ID of this process, for as long as this lives.
pub(super) struct PidFile {
    path: PathBuf,
    /// Locked.
    file: File,
}

/// Why there is no such file.
#[derive(Debug, thiserror::Error)]
pub(super) enum PidFileError {
    /// It can't be opened, locked or written to.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is a link, a device, a folder, or the like.
    #[error("not a regular file; left as it is")]
    NotRegular,
    /// It is used for something else.
    #[error("there is something else than a process ID in it; left as it is")]
    NotAPid,
    /// Another process has it, whose ID this is if it has written that already.
    #[error("another process has this file{}", .0.as_ref().map(|pid| format!(": {pid}")).unwrap_or_default())]
    Held(Option<String>),
}

impl PidFile {
    /// Makes the file, or takes over one whose process is gone.
    pub(super) fn create(path: &Path) -> Result<Self, PidFileError> {
        for _ in 0..TRIES {
            let file = open(path)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => (),
                Err(Errno::WOULDBLOCK) => return Err(PidFileError::Held(pid_in(&file)?)),
                Err(errno) => return Err(io::Error::from(errno).into()),
            }
            // Whoever had the lock before may have removed the file before it let go.
            if !is_at(path, &file) {
                continue;
            }
            let length = file.metadata()?.len();
            if length > 0 && pid_in(&file)?.is_none() {
                return Err(PidFileError::NotAPid);
            }
            let content = content();
            file.write_all_at(content.as_bytes(), 0)?;
            file.set_len(content.len() as u64)?;
            return Ok(PidFile {
                path: path.to_owned(),
                file,
            });
        }
        Err(PidFileError::Held(None))
    }
}

/// Opens the file or makes it. What is there and is no regular file is not even opened, for some
/// devices act on that.
fn open(path: &Path) -> Result<File, PidFileError> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => return Err(PidFileError::NotRegular),
        Ok(_) => (),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (),
        Err(error) => return Err(error.into()),
    }
    // CAST: the flags of open(2) are those of an int.
    let safely = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .custom_flags(safely)
        .open(path)?;
    // It may have become something else meanwhile.
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(PidFileError::NotRegular)
    }
}

/// Whether a path is that of this file.
fn is_at(path: &Path, file: &File) -> bool {
    let name = |metadata: Metadata| (metadata.dev(), metadata.ino());
    match (fs::symlink_metadata(path), file.metadata()) {
        (Ok(found), Ok(own)) => name(found) == name(own),
        _ => false,
    }
}

/// The number that a file has in it, if it has no more than that.
fn pid_in(file: &File) -> io::Result<Option<String>> {
    let mut text = [0; ROOM];
    let length = file.read_at(&mut text, 0)?;
    let digits = text[..length].trim_ascii();
    let is_pid = length < ROOM && !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    Ok(is_pid.then(|| String::from_utf8_lossy(digits).into_owned()))
}

fn content() -> String {
    format!("{}\n", process::id())
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let mut found = [0; ROOM];
        let length = self.file.read_at(&mut found, 0).unwrap_or(0);
        if found[..length] == *content().as_bytes() && is_at(&self.path, &self.file) {
            // What can't be removed stays behind: there is nothing else to be done at the end.
            let _ = fs::remove_file(&self.path);
        }
    }
}
