// SPDX-License-Identifier: GPL-2.0

//! The plots: what requests cost, against the number of SAs in the table; packets against `ip xfrm`;
//! memory.

use crate::{
    beside,
    figures::{AF_KEY, At, Figures, KLIPS, MODULES, REFUSED, XFRM_USER},
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
const FIELDS: [&str; 15] = [
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
    "ADDFLOW",
    "REPLACE",
    "DELFLOW",
    "live ADD",
];
/// Columns and rows of fields. The last one is the legend's.
const GRID: (usize, usize) = (4, 4);
/// Width and height of the plot.
const SIZE: (u32, u32) = (1280, 1160);
/// Pixels of the bitmap for one of the plot.
const SCALE: f32 = 1.5;
/// SAs from one side to the other.
const SAS: std::ops::Range<f64> = 600.0..1_700_000.0;
/// Instructions from bottom to top.
const COST: std::ops::Range<f64> = 200.0..20_000_000.0;
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

const LINES: [Line; 6] = [
    Line {
        module: XFRM_USER,
        gateways: "one",
        colour: RGBColor(0x1e, 0x6b, 0x3a),
    },
    Line {
        module: XFRM_USER,
        gateways: "many",
        colour: RGBColor(0x62, 0xb8, 0x7f),
    },
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

type Drawn = Result<(), Box<dyn std::error::Error>>;

/// Draws each plot as SVG: its name, what it shows, and the text.
pub fn all(figures: &Figures) -> Result<[(&'static str, &'static str, String); 3]> {
    Ok([
        (
            "requests",
            "Cost against number of SAs",
            svg(SIZE, |area| draw(area, figures))?,
        ),
        (
            "packets",
            "Packets against ip xfrm",
            svg(PACKETS_SIZE, |area| draw_packets(area, figures))?,
        ),
        (
            "memory",
            "Memory",
            svg(MEMORY_SIZE, |area| draw_memory(area, figures))?,
        ),
    ])
}

fn svg(size: (u32, u32), draw: impl FnOnce(&Area<'_>) -> Drawn) -> Result<String> {
    let mut text = String::new();
    let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
    let drawn = area
        .fill(&WHITE)
        .map_err(Into::into)
        .and_then(|()| draw(&area));
    let drawn = drawn.and_then(|()| Ok(area.present()?));
    drawn.map_err(|error| anyhow!("a plot: {error}"))?;
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

fn draw(area: &Area<'_>, figures: &Figures) -> Drawn {
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
    Ok(())
}

/// Width and height of the plot of packets.
const PACKETS_SIZE: (u32, u32) = (1280, 520);
/// Ratios from one side to the other.
const RATIOS: std::ops::Range<f64> = 0.95..1.05;
/// The algorithms of a packet's SAs, by their names.
const CIPHERS: [(&str, RGBColor); 4] = [
    ("AES-GCM", RGBColor(0x1a, 0x3f, 0x7a)),
    ("AES-CBC+SHA2", RGBColor(0xe6, 0x7e, 0x22)),
    ("3DES+SHA1", RGBColor(0xb0, 0x3a, 0x2e)),
    ("NULL+SHA1", RGBColor(0x1e, 0x6b, 0x3a)),
];

/// Each packet is a circle, small or large as it is itself, in the row of its chain and its way.
fn draw_packets(area: &Area<'_>, figures: &Figures) -> Drawn {
    let packets = beside::packets(figures);
    let mut rows: Vec<(&str, &str)> = Vec::new();
    for (packet, _) in &packets {
        if !rows.contains(&(packet.chain, packet.way)) {
            rows.push((packet.chain, packet.way));
        }
    }
    // The first one is at the top, and there is room above and below.
    let above = rows.len() as i32;
    let title =
        "Instructions of a packet, as part of those that it takes through what ip xfrm has made";
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 20))
        .margin(10)
        .x_label_area_size(26)
        .y_label_area_size(210)
        .build_cartesian_2d(RATIOS, -1..above)?;
    let name = |row: &i32| {
        let row = usize::try_from(above - 1 - row).ok();
        let row = row.and_then(|row| rows.get(row));
        row.map(|(chain, way)| format!("{chain}, {way}"))
            .unwrap_or_default()
    };
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(0xdd, 0xdd, 0xdd))
        .x_labels(11)
        .y_labels(rows.len() + 2)
        .x_label_formatter(&|ratio| format!("{ratio:.2}"))
        .y_label_formatter(&name)
        .label_style(("sans-serif", 13))
        .draw()?;
    for (cipher, colour) in CIPHERS {
        let of = packets.iter().filter(|(packet, _)| packet.cipher == cipher);
        let circles = of.filter_map(|(packet, beside)| {
            let row = rows
                .iter()
                .position(|row| *row == (packet.chain, packet.way))?;
            let ratio = beside.to_least()?.clamp(RATIOS.start, RATIOS.end);
            let at = (ratio, above - 1 - i32::try_from(row).ok()?);
            let radius = if packet.size == "64" { 3 } else { 6 };
            Some(Circle::new(at, radius, colour.stroke_width(2)))
        });
        chart
            .draw_series(circles)?
            .label(cipher)
            .legend(move |at| Circle::new((at.0 + 10, at.1), 5, colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .label_font(("sans-serif", 13))
        .border_style(RGBColor(0xdd, 0xdd, 0xdd))
        .background_style(WHITE)
        .draw()?;
    Ok(())
}

/// Width and height of the plot of memory.
const MEMORY_SIZE: (u32, u32) = (1280, 420);
/// Bytes from bottom to top.
const BYTES: std::ops::Range<f64> = 0.0..6500.0;

fn draw_memory(area: &Area<'_>, figures: &Figures) -> Drawn {
    let memory = beside::memory(figures);
    let groups = memory.len().max(1) as f64;
    let mut chart = ChartBuilder::on(area)
        .caption("Memory: bytes of each", ("sans-serif", 20))
        .margin(10)
        .x_label_area_size(10)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..groups, BYTES)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .disable_x_axis()
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(0xdd, 0xdd, 0xdd))
        .y_label_formatter(&|bytes| number(Some(*bytes)))
        .label_style(("sans-serif", 13))
        .draw()?;
    for (place, (what, beside)) in memory.iter().enumerate() {
        let left = place as f64 + 0.1;
        for (bar, (value, (_, name))) in beside.values.iter().zip(MODULES).enumerate() {
            let Some(value) = *value else { continue };
            let left = left + bar as f64 * 0.27;
            let colour = MEMORY_COLOURS[bar];
            chart.draw_series([Rectangle::new(
                [(left, 0.0), (left + 0.24, value)],
                colour.filled(),
            )])?;
            let style = ("sans-serif", 13).into_font().color(&colour);
            let style = style.pos(Pos::new(HPos::Center, VPos::Bottom));
            let text = format!("{name} {}", number(Some(value)));
            chart.draw_series([Text::new(text, (left + 0.12, value + 60.0), style)])?;
        }
        let style = ("sans-serif", 15).into_font().color(&BLACK);
        let style = style.pos(Pos::new(HPos::Center, VPos::Top));
        let name = what.strip_prefix("memory per ").unwrap_or(what);
        let at = (left + 0.4, BYTES.end);
        chart.draw_series([Text::new(name.to_owned(), at, style)])?;
    }
    Ok(())
}

/// Those of [`MODULES`].
const MEMORY_COLOURS: [RGBColor; 3] = [
    RGBColor(0x1a, 0x3f, 0x7a),
    RGBColor(0xb0, 0x3a, 0x2e),
    RGBColor(0x1e, 0x6b, 0x3a),
];

fn draw_field(area: &Area<'_>, figures: &Figures, what: &str) -> Drawn {
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
        // The figure of the largest table, for one line of each module: they hardly differ, nor do those
        // of mainline's two.
        if line.gateways == "many" && line.module != XFRM_USER {
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
        let sizes = beside::sizes(figures, self.module, self.gateways, what);
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

fn draw_legend(area: &Area<'_>) -> Drawn {
    for (line, y) in LINES.iter().rev().zip((60..).step_by(30)) {
        let style = line.colour.stroke_width(2);
        // A dashed line is one of dashes.
        let dash = if line.module == KLIPS { 50 } else { 7 };
        for x in (40..90).step_by(if line.module == KLIPS { 50 } else { 11 }) {
            area.draw(&PathElement::new([(x, y), ((x + dash).min(90), y)], style))?;
        }
        area.draw(&line.circle((65, y)))?;
        let plural = if line.gateways == "one" { "" } else { "s" };
        let module = MODULES.iter().find(|(module, _)| *module == line.module);
        let module = module.map_or(line.module, |(_, name)| name);
        let text = format!("{module}, {} gateway{plural}", line.gateways);
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
        let svg = |figures: &Figures| all(figures).unwrap()[0].2.clone();
        let empty = svg(&Figures::default());
        let values = [
            (1000, REFUSED, 600.0),
            (1000, "GET", 3456.0),
            (10_000, "GET", 3457.0),
        ];
        let some = svg(&Figures(figures(KLIPS, &values)));
        assert!(!empty.contains("3,457") && some.contains("3,457"));
    }

    #[test]
    fn packets_and_memory_have_plots_of_their_own() {
        let packet = "packet out: tun+esp AES-GCM 64";
        let mut values = figures(KLIPS, &[(0, packet, 10.0)]);
        values.extend(figures(XFRM_USER, &[(0, packet, 10.0)]));
        for figure in &mut values {
            figure.gateways = "-".to_owned();
        }
        let live = "memory per live SA";
        values.extend(figures(KLIPS, &[(10, live, 2345.0)]));
        let [_, packets, memory] = all(&Figures(values)).unwrap();
        assert!(packets.2.contains("tun+esp, out"));
        assert!(memory.2.contains("klips 2,345") && memory.2.contains("live SA"));
    }
}
