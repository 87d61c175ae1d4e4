// SPDX-License-Identifier: GPL-2.0

//! Numbers as KLIPS's `ttoul` reads them (reference 7.3).

use std::fmt;

/// Why a text is not a number. The texts are those of `ttoul`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberError {
    /// Nothing there.
    Empty,
    /// A hexadecimal number with another character in it.
    NonHexDigit,
    /// A decimal or octal number with another character in it.
    NonDigit,
    /// More than 32 bits. KLIPS wrapped silently.
    TooLarge,
}

impl fmt::Display for NumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NumberError::Empty => "empty string",
            NumberError::NonHexDigit => "non-hex digit in hex number",
            NumberError::NonDigit => "non-digit in number",
            NumberError::TooLarge => "number does not fit in 32 bits",
        })
    }
}

/// Reads hexadecimal digits without a prefix.
pub fn parse_hex(text: &str) -> Result<u32, NumberError> {
    parse_digits(text, 16)
}

/// Reads `0x…` as hexadecimal, a leading `0` as octal, anything else as decimal.
pub fn parse(text: &str) -> Result<u32, NumberError> {
    let bytes = text.as_bytes();
    if bytes.len() > 2 && bytes[0] == b'0' && matches!(bytes[1], b'x' | b'X') {
        parse_digits(&text[2..], 16)
    } else if bytes.len() > 1 && bytes[0] == b'0' {
        parse_digits(&text[1..], 8)
    } else {
        parse_digits(text, 10)
    }
}

fn parse_digits(text: &str, base: u32) -> Result<u32, NumberError> {
    if text.is_empty() {
        return Err(NumberError::Empty);
    }
    // Bad digits are reported before bad sizes, as the original does.
    if !text.chars().all(|c| c.is_digit(base)) {
        return Err(match base {
            16 => NumberError::NonHexDigit,
            _ => NumberError::NonDigit,
        });
    }
    u32::from_str_radix(text, base).map_err(|_| NumberError::TooLarge)
}
