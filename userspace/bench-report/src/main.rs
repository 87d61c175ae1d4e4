// SPDX-License-Identifier: GPL-2.0

//! Makes the report of what the bench program measured: tables in Markdown, plots, and all figures in
//! one file.

mod arithmetic;
mod beside;
mod figures;
mod harness;
mod limits;
mod markdown;
mod parts;
mod plot;
mod profile;
mod report;
mod sections;

use anyhow::{Context, Result};
use clap::Parser;
use figures::Figures;
use parts::Module;
use profile::Profile;
use report::{Holds, Report};
use std::{fs, path::PathBuf};

/// Makes the report of what the bench program measured
#[derive(Parser)]
struct Cli {
    /// What the bench program wrote
    #[arg(required = true)]
    figures: Vec<PathBuf>,
    /// What it wrote when it did some of that again
    #[arg(long)]
    again: Option<PathBuf>,
    /// A directory with what "vm profile" counted, named after what was done
    #[arg(long)]
    profile: Vec<PathBuf>,
    /// The file of a module
    #[arg(long)]
    module: Vec<PathBuf>,
    /// Where "make test" leaves its logs
    #[arg(long)]
    logs: PathBuf,
    /// Something that the reader should know about this run
    #[arg(long)]
    about: Vec<String>,
    /// The directory of the report
    #[arg(long)]
    out: PathBuf,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let figures = Figures::read(&cli.figures)?;
    let again = Figures::read(cli.again.as_slice())?;
    let profiles = cli.profile.iter().map(|directory| Profile::read(directory));
    let profiles = profiles.collect::<Result<Vec<_>>>()?;
    let modules = cli.module.iter().map(|path| Module::read(path));
    let modules = modules.collect::<Result<Vec<_>>>()?;
    fs::create_dir_all(&cli.out).with_context(|| cli.out.display().to_string())?;

    figures.write(&cli.out.join("figures.csv"))?;
    let plots = plot::all(&figures)?;
    for (name, _, svg) in &plots {
        fs::write(cli.out.join(format!("{name}.svg")), svg)?;
        plot::write_png(svg, &cli.out.join(format!("{name}.png")))?;
    }
    let report = Report {
        figures: &figures,
        again: &again,
        profiles: &profiles,
        modules: &modules,
        logs: &cli.logs,
        about: &cli.about,
        plots: &plots.map(|(name, title, _)| (name, title)),
    };
    let page = report.page();
    fs::write(cli.out.join("README.md"), &page)?;
    fs::write(cli.out.join("details.md"), report.to_string())?;
    print!("{page}{}", Holds(&figures));
    Ok(())
}
