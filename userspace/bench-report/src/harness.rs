// SPDX-License-Identifier: GPL-2.0

//! What the test harness itself takes, from the logs that it left.

use crate::markdown::{Table, number};
use std::{fs, path::Path};

/// What is said where a log is missing or says something else.
const MISSING: &str = "not known: there is no log of `make test`";

/// A table of what the logs in a directory say.
pub fn table(logs: &Path) -> Table {
    let guest = fs::read_to_string(logs.join("guest-tests.log")).unwrap_or_default();
    let whole = fs::read_to_string(logs.join("seconds")).unwrap_or_default();
    let mut table = Table::new(["harness", "seconds"]);
    for (what, seconds) in [
        ("from QEMU's start to the first test", boot(&guest)),
        ("the last `make test`", whole.trim().parse().ok()),
    ] {
        let text = seconds.map_or_else(|| MISSING.to_owned(), |seconds| number(Some(seconds)));
        table.row(what, [text]);
    }
    table
}

/// The seconds between `, ` and ` s after QEMU's start` in the line about the guest.
fn boot(log: &str) -> Option<f64> {
    let mut lines = log.lines().filter(|line| line.starts_with("guest: "));
    let (before, _) = lines.next_back()?.split_once(" s after QEMU's start")?;
    before.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guests_line_tells_how_long_it_booted() {
        let log = "ok 1\n\nguest: Linux 7.3.4, TCG, 2 CPUs: init after 0.95 s of kernel time, \
                   1.9 s after QEMU's start; all done after 40.0 s\n1 passed, 0 failed\n";
        assert_eq!(boot(log), Some(1.9));
        assert_eq!(
            boot("guest: Linux 7.3.4, TCG, 2 CPUs: init never reached"),
            None
        );
        assert_eq!(boot(""), None);
    }

    #[test]
    fn a_missing_log_is_said_to_be_missing() {
        let text = table(Path::new("/nonexistent")).to_string();
        assert_eq!(text.matches(MISSING).count(), 2);
    }
}
