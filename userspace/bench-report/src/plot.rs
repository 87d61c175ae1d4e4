// SPDX-License-Identifier: GPL-2.0

//! The plot: what requests cost, against the number of SAs in the table.

use crate::{
    figures::{AF_KEY, At, Figures, INSTRUCTIONS, KLIPS, REFUSED},
    markdown::number,
};
use anyhow::{Context, Result, anyhow};
use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};
use resvg::{
    tiny_skia::{Pixmap, Transform},
    usvg::{self, Tree},
};
use std::{fs, path::Path, sync::Arc};

/// Each has a field of the plot.
const FIELDS: [&str; 11] = [
    REFUSED,
    "GET",
    "ADD",
    "DELETE",
    "X_GRPSA pair",
    "X_GRPSA of 4",
    "ungroup",
    "close",
    "DUMP per SA",
    "FLUSH per SA",
    "/proc per line",
];
/// Columns and rows of fields. The last one is the legend's.
const GRID: (usize, usize) = (3, 4);
/// Width and height of the plot.
const SIZE: (u32, u32) = (1280, 900);
/// Pixels of the bitmap for one of the plot.
const SCALE: f32 = 1.5;
/// SAs from one side to the other.
const SAS: std::ops::Range<f64> = 600.0..1_700_000.0;
/// Instructions from bottom to top.
const COST: std::ops::Range<f64> = 200.0..2_000_000.0;
/// Where Debian's fonts-dejavu-core puts the font of the bitmap.
const FONT_FILE: &str = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf";
/// What it is called.
const FONT: &str = "DejaVu Sans";

/// A line of each field.
struct Line {
    module: &'static str,
    gateways: &'static str,
    colour: RGBColor,
}

const LINES: [Line; 4] = [
    Line {
        module: AF_KEY,
        gateways: "one",
        colour: RGBColor(0xb0, 0x3a, 0x2e),
    },
    Line {
        module: AF_KEY,
        gateways: "many",
        colour: RGBColor(0xe6, 0x7e, 0x22),
    },
    Line {
        module: KLIPS,
        gateways: "one",
        colour: RGBColor(0x1a, 0x3f, 0x7a),
    },
    Line {
        module: KLIPS,
        gateways: "many",
        colour: RGBColor(0x3d, 0x9b, 0xd9),
    },
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws the plot as SVG.
pub fn svg(figures: &Figures) -> Result<String> {
    let mut text = String::new();
    let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
    draw(&area, figures).map_err(|error| anyhow!("the plot: {error}"))?;
    drop(area);
    Ok(text)
}

/// Makes a bitmap of it, as PNG.
pub fn write_png(svg: &str, file: &Path) -> Result<()> {
    let mut fonts = usvg::fontdb::Database::new();
    fonts.load_font_data(fs::read(FONT_FILE).context(FONT_FILE)?);
    fonts.set_sans_serif_family(FONT);
    let options = usvg::Options {
        fontdb: Arc::new(fonts),
        ..usvg::Options::default()
    };
    let tree = Tree::from_str(svg, &options)?;
    let size = tree.size().to_int_size();
    let size = size.scale_by(SCALE).context("the plot is empty")?;
    let mut bitmap = Pixmap::new(size.width(), size.height()).context("the plot is empty")?;
    let scale = Transform::from_scale(SCALE, SCALE);
    resvg::render(&tree, scale, &mut bitmap.as_mut());
    fs::write(file, bitmap.encode_png()?).with_context(|| file.display().to_string())
}

fn draw(area: &Area<'_>, figures: &Figures) -> Result<(), Box<dyn std::error::Error>> {
    area.fill(&WHITE)?;
    let area = area.titled(
        "What requests cost: instructions, against the number of SAs in the table",
        ("sans-serif", 22),
    )?;
    let fields = area.split_evenly(GRID);
    for (field, what) in fields.iter().zip(FIELDS) {
        draw_field(field, figures, what)?;
    }
    if let Some(field) = fields.last() {
        draw_legend(field)?;
    }
    area.present()?;
    Ok(())
}

fn draw_field(
    area: &Area<'_>,
    figures: &Figures,
    what: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut chart = ChartBuilder::on(area)
        .caption(what, ("sans-serif", 16))
        .margin(6)
        .x_label_area_size(22)
        .y_label_area_size(44)
        .build_cartesian_2d(SAS.log_scale(), COST.log_scale())?;
    chart
        .configure_mesh()
        .bold_line_style(RGBColor(0xdd, 0xdd, 0xdd))
        .light_line_style(TRANSPARENT)
        .axis_style(RGBColor(0x88, 0x88, 0x88))
        .x_labels(5)
        .y_labels(5)
        .x_label_formatter(&|sas| short(*sas))
        .y_label_formatter(&|cost| short(*cost))
        .label_style(("sans-serif", 11))
        .draw()?;
    for line in &LINES {
        let points = line.points(figures, what);
        let style = line.colour.stroke_width(2);
        match line.module {
            KLIPS => drop(chart.draw_series(LineSeries::new(points.clone(), style))?),
            _ => {
                let dashed = DashedLineSeries::new(points.clone(), 7, 4, style);
                chart.draw_series(dashed)?;
            }
        }
        let circles = points.iter().map(|point| line.circle(*point));
        chart.draw_series(circles)?;
        // The figure of the largest table, for one line of each module: they hardly differ.
        if line.gateways == "many" {
            let label = points.last().map(|(sas, cost)| {
                let side = if line.module == KLIPS {
                    VPos::Top
                } else {
                    VPos::Bottom
                };
                let style = ("sans-serif", 11).into_font().color(&line.colour);
                let style = style.pos(Pos::new(HPos::Center, side));
                EmptyElement::at((*sas, *cost))
                    + Text::new(
                        number(Some(*cost)),
                        (0, if line.module == KLIPS { 7 } else { -7 }),
                        style,
                    )
            });
            chart.draw_series(label)?;
        }
    }
    Ok(())
}

impl Line {
    fn points(&self, figures: &Figures, what: &str) -> Vec<(f64, f64)> {
        let sizes = figures.sizes(self.module, self.gateways, INSTRUCTIONS);
        let cost = |sas| figures.get(At::new(self.module, self.gateways, sas), what);
        let point = |sas| Some((f64::from(sas), cost(sas)?));
        sizes.into_iter().filter_map(point).collect()
    }

    /// Filled for one gateway, open for many.
    fn circle<C>(&self, at: C) -> Circle<C, i32> {
        let style = match self.gateways {
            "one" => self.colour.filled(),
            _ => self.colour.stroke_width(2),
        };
        Circle::new(at, if self.gateways == "one" { 3 } else { 5 }, style)
    }
}

fn draw_legend(area: &Area<'_>) -> Result<(), Box<dyn std::error::Error>> {
    for (line, y) in LINES.iter().rev().zip((60..).step_by(30)) {
        let style = line.colour.stroke_width(2);
        // A dashed line is one of dashes.
        let dash = if line.module == KLIPS { 50 } else { 7 };
        for x in (40..90).step_by(if line.module == KLIPS { 50 } else { 11 }) {
            area.draw(&PathElement::new([(x, y), ((x + dash).min(90), y)], style))?;
        }
        area.draw(&line.circle((65, y)))?;
        let plural = if line.gateways == "one" { "" } else { "s" };
        let text = format!("{}, {} gateway{plural}", line.module, line.gateways);
        area.draw(&Text::new(text, (102, y - 7), ("sans-serif", 15)))?;
    }
    Ok(())
}

/// A power of ten in few characters.
fn short(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{} M", value / 1e6),
        value if value >= 1e3 => format!("{} k", value / 1e3),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::tests::figures;

    #[test]
    fn labels_are_short() {
        let texts = [100.0, 1000.0, 100_000.0, 1e6].map(short);
        assert_eq!(texts, ["100", "1 k", "100 k", "1 M"]);
    }

    #[test]
    fn what_was_measured_is_in_the_plot() {
        let empty = svg(&Figures::default()).unwrap();
        let values = [
            (1000, REFUSED, 600.0),
            (1000, "GET", 3456.0),
            (10_000, "GET", 3457.0),
        ];
        let some = svg(&Figures(figures(KLIPS, &values))).unwrap();
        assert!(!empty.contains("3,456") && some.contains("3,456"));
    }
}
