//! Bar charts of the rows, as SVG that is legible on light and on dark pages.

use crate::report::{Line, figure};
use std::fmt::Write;
use std::path::Path;

/// Bars of several series, by input.
struct Chart {
    file: &'static str,
    title: &'static str,
    /// What stands behind the numbers.
    unit: &'static str,
    series: Vec<&'static str>,
    /// Input, and a number for each series where there is one.
    rows: Vec<(String, Vec<Option<f64>>)>,
}

const INPUTS: [&str; 6] = ["tiny", "te", "pico", "chrome", "cookie4k", "corpus"];

/// Ours or theirs of a row.
fn find(lines: &[Line], what: &str, input: &str, peer: &str) -> Option<(f64, f64)> {
    let line = lines.iter().find(|l| l.what == what && l.input == input && l.peer == peer)?;
    line.ours.zip(line.theirs)
}

fn heads(lines: &[Line]) -> Chart {
    let peers = ["picohttpparser", "httparse and glue", "http-net"];
    let row = |input: &str| {
        let (ours, httparse) = find(lines, "receive a head", input, "httparse")?;
        let mut bars = vec![Some(ours / httparse)];
        bars.extend(peers.map(|peer| {
            let (_, theirs) = find(lines, "receive a head, others", input, peer)?;
            Some(theirs / httparse)
        }));
        Some((input.to_owned(), bars))
    };
    let mut series = vec!["keepalive"];
    series.extend(peers);
    Chart {
        file: "heads.svg",
        title: "Receiving a head, in times of httparse, which only parses (less is better)",
        unit: "",
        series,
        rows: INPUTS.iter().filter_map(|input| row(input)).collect(),
    }
}

fn cycles(lines: &[Line]) -> Chart {
    let peers = ["http-net", "hyper", "ureq-proto"];
    let row = |input: &str| {
        let found = peers.map(|peer| find(lines, "whole server cycle", input, peer));
        let ours = found.iter().flatten().next()?.0;
        let bars = std::iter::once(Some(ours)).chain(found.map(|f| f.map(|f| f.1)));
        Some((input.to_owned(), bars.collect()))
    };
    let mut series = vec!["keepalive"];
    series.extend(peers);
    Chart {
        file: "cycles.svg",
        title: "A whole exchange of a server in memory, in nanoseconds (less is better)",
        unit: " ns",
        series,
        rows: INPUTS.iter().filter_map(|input| row(input)).collect(),
    }
}

fn dripping(lines: &[Line]) -> Chart {
    let peers = ["http-net", "hyper"];
    let found = peers.map(|peer| find(lines, "a head by the octet", "8144 B", peer));
    let mut bars = vec![found[0].map(|f| f.0)];
    bars.extend(found.map(|f| f.map(|f| f.1)));
    Chart {
        file: "dripping.svg",
        title: "A head of 8 KiB octet by octet, in nanoseconds an octet (less is better)",
        unit: " ns",
        series: vec!["keepalive", "http-net", "hyper"],
        rows: vec![("8144 octets".into(), bars)],
    }
}

fn chunked(lines: &[Line]) -> Chart {
    let peers = ["httparse", "http-net"];
    let row = |input: &str| {
        let found = peers.map(|peer| find(lines, "chunked content, 64 KiB", input, peer));
        let ours = found.iter().flatten().next()?.0;
        let bars = std::iter::once(Some(ours)).chain(found.map(|f| f.map(|f| f.1)));
        Some((input.to_owned(), bars.collect()))
    };
    Chart {
        file: "chunked.svg",
        title: "Chunked content coming in, in nanoseconds a chunk (less is better)",
        unit: " ns",
        series: vec!["keepalive", "httparse, a loop", "http-net"],
        rows: ["1 KiB chunks", "16 B chunks"].into_iter().filter_map(row).collect(),
    }
}

/// Writes all charts below a directory, and says which.
pub fn write(directory: &Path, lines: &[Line]) -> std::io::Result<Vec<&'static str>> {
    std::fs::create_dir_all(directory)?;
    let charts = [heads(lines), cycles(lines), dripping(lines), chunked(lines)];
    for chart in &charts {
        std::fs::write(directory.join(chart.file), chart.svg())?;
    }
    Ok(charts.map(|c| c.file).to_vec())
}

// Sizes in pixels.
const WIDTH: usize = 720;
const LABEL: usize = 110;
const NUMBER: usize = 80;
const BAR: usize = 14;
const GAP: usize = 12;
const TOP: usize = 64;

/// Colours that are told apart by those who see few, too; the first is ours.
const COLOURS: [&str; 4] = ["#0072b2", "#e69f00", "#999999", "#cc79a7"];

const STYLE: &str = "<style>\
text{font:12px sans-serif;fill:#222}.t{font-weight:bold;font-size:13px}\
@media(prefers-color-scheme:dark){text{fill:#ddd}}</style>";

impl Chart {
    fn svg(&self) -> String {
        let tallest =
            self.rows.iter().flat_map(|r| &r.1).flatten().fold(0.0, |a: f64, b| a.max(*b));
        let block = self.series.len() * BAR + GAP;
        let height = TOP + self.rows.len() * block;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
             role=\"img\" aria-label=\"{0}\">{STYLE}\n<text class=\"t\" x=\"8\" y=\"18\">{0}</text>\n",
            self.title
        );
        let mut draw = |text: std::fmt::Arguments<'_>| {
            svg.write_fmt(text).expect("a string takes it");
            svg.push('\n');
        };
        let mut x = 8;
        for (name, colour) in self.series.iter().zip(COLOURS) {
            draw(format_args!(
                "<rect x=\"{x}\" y=\"32\" width=\"11\" height=\"11\" fill=\"{colour}\"/>"
            ));
            draw(format_args!("<text x=\"{}\" y=\"42\">{name}</text>", x + 16));
            x += 32 + name.len() * 7;
        }
        let room = (WIDTH - LABEL - NUMBER) as f64;
        for (n, (label, bars)) in self.rows.iter().enumerate() {
            let top = TOP + n * block;
            let middle = top + self.series.len() * BAR / 2 + 4;
            draw(format_args!("<text x=\"8\" y=\"{middle}\">{label}</text>"));
            for (m, (bar, colour)) in bars.iter().zip(COLOURS).enumerate() {
                let Some(value) = bar else { continue };
                let (y, width) = (top + m * BAR, (value / tallest * room).max(1.0));
                let thick = BAR - 2;
                draw(format_args!(
                    "<rect x=\"{LABEL}\" y=\"{y}\" width=\"{width:.0}\" height=\"{thick}\" fill=\"{colour}\"/>"
                ));
                let (at, base) = (LABEL as f64 + width + 5.0, y + thick - 2);
                let (number, unit) = (figure(*value), self.unit);
                draw(format_args!("<text x=\"{at:.0}\" y=\"{base}\">{number}{unit}</text>"));
            }
        }
        svg.push_str("</svg>\n");
        svg
    }
}
