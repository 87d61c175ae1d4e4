// SPDX-License-Identifier: GPL-2.0

//! Keys as text: `0x` hexadecimal, `0s` base64, `0t` text.

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use zeroize::Zeroizing;

/// A key, wiped when it is no longer needed.
pub(super) type KeyBytes = Zeroizing<Vec<u8>>;

/// Reads a key. What is wrong with it is told without any of it.
pub(super) fn parse(text: &str) -> Result<KeyBytes, &'static str> {
    const SYNTAX: &str = "unknown format or syntax error";
    let (format, digits) = text.split_at_checked(2).ok_or(SYNTAX)?;
    // Groups of digits may have underscores between them.
    let without_underscores = || Zeroizing::new(digits.replace('_', ""));
    let bytes = match format {
        "0x" | "0X" => HEXLOWER_PERMISSIVE.decode(without_underscores().as_bytes()),
        "0s" => BASE64.decode(without_underscores().as_bytes()),
        "0t" => Ok(digits.as_bytes().to_vec()),
        _ => return Err(SYNTAX),
    };
    Ok(Zeroizing::new(bytes.map_err(|_| SYNTAX)?))
}
