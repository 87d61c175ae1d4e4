// SPDX-License-Identifier: GPL-2.0

//! Files of the user's: they may have keys in them, be written by any editor, and have no end.

use std::io::{self, Read};
use zeroize::Zeroizing;

/// What some editors begin a text with, as UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Reads all there is, in memory that is never moved and so is wiped whole. `None` if that is more
/// than `max` bytes.
pub(crate) fn read(mut input: impl Read, max: usize) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let mut text = Zeroizing::new(vec![0; max + 1]);
    let mut len = 0;
    while len < text.len() {
        match input.read(&mut text[len..]) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
    text.truncate(len);
    Ok((len <= max).then_some(text))
}

/// Permissions of those who are not the owner.
const OTHERS: u32 = 0o077;

/// What is wrong with the permissions of a file that has keys in it, the nine lowest bits; as with
/// ssh, nobody but its owner may be able to do anything with it. `None` is no regular file.
pub(crate) fn too_open(mode: Option<u32>) -> Option<String> {
    let mode = mode.filter(|mode| mode & OTHERS != 0)?;
    Some(format!(
        "permissions {mode:04o} are too open for a file of keys.  Only its owner may have any: chmod \
         600."
    ))
}

/// The text without the mark that it may begin with.
pub(crate) fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

/// Splits a text into words by `split`. The text may have anything in it where that finds none,
/// such as a comment in another encoding; `None` if it is in a word that a byte is no UTF-8.
pub(crate) fn words<E>(
    text: &[u8],
    split: impl FnOnce(&str) -> Result<Vec<String>, E>,
) -> Result<Option<Zeroizing<Vec<String>>>, E> {
    let readable = Zeroizing::new(String::from_utf8_lossy(text).into_owned());
    let words = Zeroizing::new(split(&readable)?);
    let is_broken = |word: &String| word.contains(char::REPLACEMENT_CHARACTER);
    let all_read = std::str::from_utf8(text).is_ok() || !words.iter().any(is_broken);
    Ok(all_read.then_some(words))
}
