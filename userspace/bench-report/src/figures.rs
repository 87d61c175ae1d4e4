// SPDX-License-Identifier: GPL-2.0

//! What was measured, and how to find it again.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The unit of what is counted.
pub const INSTRUCTIONS: &str = "instructions";
/// The unit of what is timed.
pub const NANOSECONDS: &str = "ns";
/// Our module.
pub const KLIPS: &str = "klips";
/// Mainline's module.
pub const AF_KEY: &str = "af_key";
/// What `ip xfrm` speaks to.
pub const XFRM_USER: &str = "xfrm_user";
/// All of them, and what the reader knows them by.
pub const MODULES: [(&str, &str); 3] =
    [(KLIPS, "klips"), (AF_KEY, "af_key"), (XFRM_USER, "ip xfrm")];
/// What is measured at every size: a message that is refused as soon as its header was looked at.
pub const REFUSED: &str = "refused message";
/// Whether all SAs go to one gateway or each to its own.
pub const GATEWAYS: [&str; 2] = ["one", "many"];

/// One thing that was measured: a line of the bench program's output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Which module was loaded.
    pub module: String,
    /// One of [`GATEWAYS`], or `-` where that makes no difference.
    pub gateways: String,
    /// SAs in the table.
    pub sas: u32,
    /// Sockets that were open and never read.
    pub listeners: u32,
    /// Processors of the guest.
    pub cpus: u32,
    /// What was done.
    pub what: String,
    /// The unit of the value.
    pub unit: String,
    /// The value.
    pub value: f64,
}

/// The circumstances of a figure: all but what was done.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    /// As in [`Figure`].
    pub module: &'a str,
    /// As in [`Figure`].
    pub gateways: &'a str,
    /// As in [`Figure`].
    pub sas: u32,
    /// As in [`Figure`].
    pub listeners: u32,
    /// As in [`Figure`].
    pub cpus: u32,
    /// As in [`Figure`].
    pub unit: &'a str,
}

impl<'a> At<'a> {
    /// Instructions without listeners, on one processor.
    pub fn new(module: &'a str, gateways: &'a str, sas: u32) -> Self {
        At {
            module,
            gateways,
            sas,
            listeners: 0,
            cpus: 1,
            unit: INSTRUCTIONS,
        }
    }

    /// Where it matters neither how many SAs there are nor where they go to.
    pub fn bare(module: &'a str, unit: &'a str) -> Self {
        At {
            unit,
            ..At::new(module, "-", 0)
        }
    }

    fn matches(&self, figure: &Figure) -> bool {
        figure.module == self.module
            && figure.gateways == self.gateways
            && figure.sas == self.sas
            && figure.listeners == self.listeners
            && figure.cpus == self.cpus
            && figure.unit == self.unit
    }
}

/// All figures of a report.
#[derive(Clone, Debug, Default)]
pub struct Figures(pub Vec<Figure>);

impl Figures {
    /// Reads files, one after the other.
    pub fn read(files: &[impl AsRef<Path>]) -> Result<Self> {
        let mut figures = Vec::new();
        for file in files {
            let file = file.as_ref();
            let context = || file.display().to_string();
            let mut reader = csv::Reader::from_path(file).with_context(context)?;
            for figure in reader.deserialize() {
                figures.push(figure.with_context(context)?);
            }
        }
        Ok(Figures(figures))
    }

    /// Writes all to one file.
    pub fn write(&self, file: &Path) -> Result<()> {
        let mut writer =
            csv::Writer::from_path(file).with_context(|| file.display().to_string())?;
        for figure in &self.0 {
            writer.serialize(figure)?;
        }
        Ok(writer.flush()?)
    }

    /// Finds what something cost.
    pub fn get(&self, at: At<'_>, what: &str) -> Option<f64> {
        let mut found = self.0.iter().filter(|figure| figure.what == what);
        found
            .find(|figure| at.matches(figure))
            .map(|figure| figure.value)
    }

    /// The values that a field has among all figures of a unit, ascending.
    pub fn all(&self, unit: &str, field: impl Fn(&Figure) -> u32) -> Vec<u32> {
        let figures = self.0.iter().filter(|figure| figure.unit == unit);
        let mut all: Vec<_> = figures.map(field).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The sizes of the table at which a module's requests were measured, ascending.
    pub fn sizes(&self, module: &str, gateways: &str, unit: &str) -> Vec<u32> {
        let own = self.0.iter().filter(|figure| {
            figure.module == module && figure.gateways == gateways && figure.what == REFUSED
        });
        Figures(own.cloned().collect()).all(unit, |figure| figure.sas)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Figures of one module with many gateways, from (SAs, what, value).
    pub(crate) fn figures(module: &str, values: &[(u32, &str, f64)]) -> Vec<Figure> {
        let figure = |&(sas, what, value): &(u32, &str, f64)| Figure {
            module: module.to_owned(),
            gateways: "many".to_owned(),
            sas,
            listeners: 0,
            cpus: 1,
            what: what.to_owned(),
            unit: INSTRUCTIONS.to_owned(),
            value,
        };
        values.iter().map(figure).collect()
    }

    #[test]
    fn figures_are_found_by_all_their_circumstances() {
        let all = figures(
            KLIPS,
            &[(10, "GET", 1.0), (20, "GET", 2.0), (20, REFUSED, 3.0)],
        );
        let all = Figures(all);
        let at = At::new(KLIPS, "many", 20);
        assert_eq!(all.get(at, "GET"), Some(2.0));
        assert_eq!(all.get(at, REFUSED), Some(3.0));
        assert_eq!(all.get(at, "ADD"), None);
        assert_eq!(all.get(At { sas: 30, ..at }, "GET"), None);
        assert_eq!(all.get(At { listeners: 1, ..at }, "GET"), None);
        assert_eq!(all.get(At { cpus: 2, ..at }, "GET"), None);
        assert_eq!(
            all.get(
                At {
                    unit: NANOSECONDS,
                    ..at
                },
                "GET"
            ),
            None
        );
        assert_eq!(
            all.get(
                At {
                    module: AF_KEY,
                    ..at
                },
                "GET"
            ),
            None
        );
        assert_eq!(
            all.get(
                At {
                    gateways: "one",
                    ..at
                },
                "GET"
            ),
            None
        );
        assert_eq!(all.sizes(KLIPS, "many", INSTRUCTIONS), [20]);
        assert!(all.sizes(KLIPS, "one", INSTRUCTIONS).is_empty());
        assert_eq!(all.all(INSTRUCTIONS, |figure| figure.sas), [10, 20]);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let directory = std::env::temp_dir().join(format!("bench-report-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let file = directory.join("figures.csv");
        let all = Figures(figures(
            KLIPS,
            &[(10, "GET", 1.5), (20, "/proc per line", 1e6)],
        ));
        all.write(&file).unwrap();
        let both = Figures::read(&[&file, &file]).unwrap();
        assert_eq!(both.0, [all.0.clone(), all.0].concat());
        std::fs::write(&file, "module,gateways\nklips,one\n").unwrap();
        assert!(Figures::read(&[&file]).is_err());
        std::fs::remove_dir_all(directory).unwrap();
    }
}
