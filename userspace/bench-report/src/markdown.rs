// SPDX-License-Identifier: GPL-2.0

//! Tables in Markdown, and numbers in them.

use std::fmt::{self, Display};

/// What stands where nothing was measured.
pub const NOTHING: &str = "–";

/// A table: the first column is text, the others are numbers.
pub struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new<T: Display>(head: impl IntoIterator<Item = T>) -> Self {
        Table {
            head: head.into_iter().map(|cell| cell.to_string()).collect(),
            rows: Vec::new(),
        }
    }

    /// Appends a row, unless nothing in it was measured.
    pub fn row(&mut self, name: &str, cells: impl IntoIterator<Item = String>) {
        let mut row = vec![name.to_owned()];
        row.extend(cells);
        if row[1..].iter().any(|cell| cell != NOTHING) {
            self.rows.push(row);
        }
    }

    /// Whether nothing was measured.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let cells = self.rows.iter().chain([&self.head]);
            let widths = cells.filter_map(|row| row.get(column));
            widths.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..self.head.len())
            .map(|column| width(column).max(2))
            .collect();
        let line = |f: &mut fmt::Formatter<'_>, row: &[String]| -> fmt::Result {
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                match column {
                    0 => write!(f, "| {cell:width$} |")?,
                    _ => write!(f, " {cell:>width$} |")?,
                }
            }
            writeln!(f)
        };
        line(f, &self.head)?;
        for (column, width) in widths.iter().enumerate() {
            match column {
                0 => write!(f, "|{}|", "-".repeat(width + 2))?,
                _ => write!(f, "{}:|", "-".repeat(width + 1))?,
            }
        }
        writeln!(f)?;
        self.rows.iter().try_for_each(|row| line(f, row))
    }
}

/// A figure: a whole number with its thousands apart, or a fraction if it is small.
pub fn number(value: Option<f64>) -> String {
    let Some(value) = value else {
        return NOTHING.to_owned();
    };
    if value != 0.0 && value.abs() < 10.0 {
        return format!("{value:.2}");
    }
    let text = apart(&format!("{:.0}", value.abs()));
    if value < 0.0 {
        format!("-{text}")
    } else {
        text
    }
}

/// How many there are of something.
pub fn count(count: u32) -> String {
    apart(&count.to_string())
}

/// Digits with the thousands apart.
fn apart(digits: &str) -> String {
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// From the least to the most of some values, as one of these texts.
pub fn range(values: &[Option<f64>], text: fn(Option<f64>) -> String) -> String {
    let there = || values.iter().copied().flatten();
    let least = text(there().min_by(f64::total_cmp));
    let most = text(there().max_by(f64::total_cmp));
    if least == most {
        return least;
    }
    let unit = least.chars().last().filter(|last| !last.is_ascii_digit());
    let least = unit
        .and_then(|unit| least.strip_suffix(unit))
        .unwrap_or(&least);
    format!("{least}–{most}")
}

/// How many times something is something else.
pub fn times(value: Option<f64>) -> String {
    match value {
        Some(value) if value < 0.095 => format!("{value:.3}×"),
        Some(value) if value < 10.0 => format!("{value:.2}×"),
        value @ Some(_) => format!("{}×", number(value)),
        None => NOTHING.to_owned(),
    }
}

/// A part of something.
pub fn percent(value: f64) -> String {
    format!("{:.1} %", value * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_easy_to_read() {
        let texts = [0.0, 0.5, 9.994, 10.4, 999.0, 1000.0, 1234567.0, -4321.0];
        let texts = texts.map(|value| number(Some(value)));
        assert_eq!(
            texts,
            [
                "0",
                "0.50",
                "9.99",
                "10",
                "999",
                "1,000",
                "1,234,567",
                "-4,321"
            ]
        );
        assert_eq!(number(None), "–");
        assert_eq!([1, 1234].map(count), ["1", "1,234"]);
        let values = [Some(1.006), None, Some(0.994)];
        assert_eq!(range(&values, times), "0.99–1.01×");
        assert_eq!(range(&values[..1], times), "1.01×");
        assert_eq!(range(&[Some(1000.0), Some(20.0)], number), "20–1,000");
        assert_eq!(range(&[None], number), "–");
        let texts = [0.0123, 0.5, 2.345, 47.0, 1234.0].map(|value| times(Some(value)));
        assert_eq!(texts, ["0.012×", "0.50×", "2.35×", "47×", "1,234×"]);
        assert_eq!(times(None), "–");
        assert_eq!(percent(0.0123), "1.2 %");
    }

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let mut table = Table::new(["what", "n"]);
        assert!(table.is_empty());
        table.row("nothing", [number(None)]);
        assert!(table.is_empty());
        table.row("GET", [number(Some(1000.0))]);
        table.row("DELETE", [number(None), "x".to_owned()]);
        let text =
            "| what   |     n |\n|--------|------:|\n| GET    | 1,000 |\n| DELETE |     – |\n";
        assert_eq!(table.to_string(), text);
    }
}
