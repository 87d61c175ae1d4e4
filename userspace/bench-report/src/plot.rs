// SPDX-License-Identifier: GPL-2.0

//! The plots: what requests cost, against the number of SAs in the table; packets against `ip xfrm`;
//! memory.

use crate::{
    beside::{self, Beside},
    figures::{AF_KEY, At, Figures, KLIPS, MODULES, XFRM_USER},
    markdown::{number, times},
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
const FIELDS: [&str; 8] = [
    "ADDFLOW",
    "REPLACE",
    "DELFLOW",
    "live ADD",
    "ADD",
    "GET",
    "DELETE",
    "X_GRPSA pair",
];
/// Columns and rows of fields. The last one is the legend's.
const GRID: (usize, usize) = (3, 3);
/// Width and height of the plot.
const SIZE: (u32, u32) = (1280, 1000);
/// Pixels of the bitmap for one of the plot.
const SCALE: f32 = 1.5;
/// How much further than its figures a field reaches to the left and to the right, where what they
/// are is written, and downwards and upwards.
const ROOM: [f64; 4] = [0.7, 30.0, 0.6, 1.7];
/// How many times another figure is one that is far from it.
const FAR: f64 = 1.3;
/// Pixels between two such texts.
const APART: i32 = 13;
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
        "What requests cost: instructions, against the number of SAs or eroutes that are there",
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

/// That of the circle of a packet of some bytes.
fn radius(size: &str) -> i32 {
    if size == "64" { 3 } else { 6 }
}

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
            let radius = radius(packet.size);
            Some(Circle::new(at, radius, colour.stroke_width(2)))
        });
        chart
            .draw_series(circles)?
            .label(cipher)
            .legend(move |at| Circle::new((at.0 + 10, at.1), 5, colour.stroke_width(2)));
    }
    let mut sizes: Vec<_> = packets.iter().map(|(packet, _)| packet.size).collect();
    sizes.sort_unstable_by_key(|size| radius(size));
    sizes.dedup();
    for size in sizes {
        let ring = move |at: (i32, i32)| Circle::new((at.0 + 10, at.1), radius(size), BLACK);
        chart
            .draw_series(None::<Circle<(f64, i32), i32>>)?
            .label(format!("{} bytes", number(size.parse().ok())))
            .legend(ring);
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
const BYTES: std::ops::Range<f64> = 0.0..6900.0;

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
    for (place, memory) in memory.iter().enumerate() {
        let left = place as f64 + 0.1;
        for (bar, (value, (_, name))) in memory.bytes.values.iter().zip(MODULES).enumerate() {
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
        let name = memory.what.strip_prefix("memory per ");
        let name = name.unwrap_or(memory.what).to_owned();
        let small = ("sans-serif", 11).into_font().color(&BLACK);
        let of = Text::new(memory.of, (0, 20), small.pos(style.pos));
        let at = (left + 0.4, BYTES.end);
        chart.draw_series([EmptyElement::at(at) + Text::new(name, (0, 0), style) + of])?;
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
    let lines = LINES.iter().map(|line| (line, line.points(figures, what)));
    let lines: Vec<_> = lines.filter(|(_, points)| !points.is_empty()).collect();
    let points = || lines.iter().flat_map(|(_, points)| points.iter().copied());
    let (sizes, costs) = (
        || points().map(|(size, _)| size),
        || points().map(|(_, cost)| cost),
    );
    let (Some(least), Some(most)) = (
        sizes().min_by(f64::total_cmp),
        sizes().max_by(f64::total_cmp),
    ) else {
        return Ok(());
    };
    let low = costs().fold(f64::MAX, f64::min) * ROOM[2];
    let high = (costs().fold(0.0, f64::max) * ROOM[3]).max(low * 10.0);
    let mut chart = ChartBuilder::on(area)
        .caption(title(figures, what), ("sans-serif", 15))
        .margin(6)
        .x_label_area_size(22)
        .y_label_area_size(44)
        .build_cartesian_2d(
            (least * ROOM[0]..most * ROOM[1]).log_scale(),
            (low..high).log_scale(),
        )?;
    chart
        .configure_mesh()
        .bold_line_style(RGBColor(0xdd, 0xdd, 0xdd))
        .light_line_style(TRANSPARENT)
        .axis_style(RGBColor(0x88, 0x88, 0x88))
        .x_labels(5)
        .y_labels(12)
        .x_label_formatter(&|sas| {
            if *sas > most {
                String::new()
            } else {
                short(*sas)
            }
        })
        .y_label_formatter(&|cost| short(*cost))
        .label_style(("sans-serif", 11))
        .draw()?;
    let mut labels = Vec::new();
    for (line, points) in lines {
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
        if let Some(last) = points.last() {
            if line.gateways == "many" || line.differs(figures, what, *last) {
                labels.push((chart.backend_coord(last).1, *last, line));
            }
        }
    }
    labels.sort_by_key(|(y, ..)| *y);
    let mut free = i32::MIN;
    for (y, last, line) in labels {
        free = free.max(y);
        let style = ("sans-serif", 11).into_font().color(&line.colour);
        let style = style.pos(Pos::new(HPos::Left, VPos::Center));
        let text = format!("{} {}", line.name(), number(Some(last.1)));
        let label = EmptyElement::at(last) + Text::new(text, (9, free - y), style);
        chart.draw_series([label])?;
        free += APART;
    }
    Ok(())
}

/// What a field shows, and how many times mainline's lesser figure klips's is, at the least and at the most
/// SAs.
fn title(figures: &Figures, what: &str) -> String {
    let sizes = beside::sizes(figures, KLIPS, "many", what);
    let mut ends: Vec<_> = [sizes.first(), sizes.last()]
        .into_iter()
        .flatten()
        .collect();
    ends.dedup();
    let ratios = ends.into_iter().filter_map(|size| {
        let ratio = Beside::find(figures, At::new(KLIPS, "many", *size), what).to_least();
        let size = short(f64::from(*size));
        ratio.map(|ratio| format!("{} at {size}", times(Some(ratio))))
    });
    let ratios: Vec<_> = ratios.collect();
    if ratios.is_empty() {
        return what.to_owned();
    }
    format!("{what}: {}", ratios.join(", "))
}

impl Line {
    fn points(&self, figures: &Figures, what: &str) -> Vec<(f64, f64)> {
        let sizes = beside::sizes(figures, self.module, self.gateways, what);
        let cost = |sas| figures.get(At::new(self.module, self.gateways, sas), what);
        let point = |sas| Some((f64::from(sas), cost(sas)?));
        sizes.into_iter().filter_map(point).collect()
    }

    /// Whether a point of it is far from the one that its module has with many gateways.
    fn differs(&self, figures: &Figures, what: &str, (size, cost): (f64, f64)) -> bool {
        let many = Line {
            gateways: "many",
            ..*self
        };
        let mut beside = many.points(figures, what).into_iter();
        let beside = beside.find(|point| point.0 == size);
        beside.is_none_or(|(_, beside)| !(cost / FAR..cost * FAR).contains(&beside))
    }

    /// What the reader knows its module by, and where its SAs go.
    fn name(&self) -> String {
        let module = MODULES.iter().find(|(module, _)| *module == self.module);
        let module = module.map_or(self.module, |(_, name)| name);
        match self.gateways {
            "one" => format!("{module}, one gateway"),
            _ => module.to_owned(),
        }
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

/// What the legend says below its lines.
const LEGEND: [&str; 3] = [
    "Each SA has a gateway of its own, unless all have one.",
    "Above each field: klips to the lesser of af_key and ip xfrm.",
    "Each field has a scale of its own.",
];

fn draw_legend(area: &Area<'_>) -> Drawn {
    for (line, y) in LINES.iter().rev().zip((60..).step_by(30)) {
        let style = line.colour.stroke_width(2);
        // A dashed line is one of dashes.
        let dash = if line.module == KLIPS { 50 } else { 7 };
        for x in (40..90).step_by(if line.module == KLIPS { 50 } else { 11 }) {
            area.draw(&PathElement::new([(x, y), ((x + dash).min(90), y)], style))?;
        }
        area.draw(&line.circle((65, y)))?;
        area.draw(&Text::new(line.name(), (102, y - 7), ("sans-serif", 15)))?;
    }
    for (text, y) in LEGEND.iter().zip((255..).step_by(22)) {
        area.draw(&Text::new(*text, (40, y), ("sans-serif", 13)))?;
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
        let values = [(1000, "GET", 3456.0), (10_000, "GET", 3457.0)];
        let mut all = figures(KLIPS, &values);
        all.extend(figures(AF_KEY, &[(10_000, "GET", 6914.0)]));
        let some = svg(&Figures(all));
        for text in ["klips 3,457", "af_key 6,914", "GET: 0.50× at 10 k"] {
            assert!(!empty.contains(text) && some.contains(text), "{text}");
        }
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
