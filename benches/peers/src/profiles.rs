//! The default profile against the most that a build can do: fat LTO and one codegen unit.
//!
//! Both are programs, so they cannot take turns within one process: the programs take turns.

use crate::measure::Groups;
use crate::report::Line;
use serde_json::{Map, Value, json};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Ours in the default profile divided by ours under fat LTO.
const GOAL: f64 = 1.1;

/// Times that the programs take turns.
const TURNS: u32 = 5;

/// The first word of the rows.
pub const WHAT: &str = "default profile";

/// What is measured of ours: group, input, side.
const SIDES: [(&str, &str, &str); 16] = [
    ("head", "tiny", "receive"),
    ("head", "te", "receive"),
    ("head", "pico", "receive"),
    ("head", "chrome", "receive"),
    ("head", "cookie4k", "receive"),
    ("head", "corpus", "receive"),
    ("head", "corpus", "visit"),
    ("cycle", "tiny", "ours"),
    ("cycle", "te", "ours"),
    ("cycle", "pico", "ours"),
    ("cycle", "chrome", "ours"),
    ("cycle", "corpus", "ours"),
    ("client", "12 fields", "ours"),
    ("chunked", "1 KiB chunks", "ours"),
    ("chunked", "16 B chunks", "ours"),
    ("drip", "by 1 B", "8 KiB"),
];

fn name((group, input, side): (&str, &str, &str)) -> String {
    match (group, side) {
        ("head", side) => format!("{side}, {input}"),
        _ => format!("{group}, {input}"),
    }
}

/// Measures ours alone, and says so as JSON: what the programs do in their turns.
pub fn ours(mut groups: Groups) -> Value {
    for group in &mut groups.0 {
        let (what, input) = (group.what, group.input);
        group.sides.retain(|s| SIDES.contains(&(what, input, s.name)));
    }
    groups.0.retain(|g| !g.sides.is_empty());
    groups.run(3, Duration::from_millis(20));
    let figures = SIDES.map(|s| (name(s), json!(groups.ns(s.0, s.1, s.2))));
    Value::Object(Map::from_iter(figures))
}

/// Builds the other program, lets both take turns, and compares.
pub fn compare() -> Result<Vec<Line>, Box<dyn Error>> {
    let this = std::env::current_exe()?;
    let target = this.parent().and_then(Path::parent).ok_or("no target directory")?;
    build(target)?;
    let fat = target.join("fat").join(this.file_name().ok_or("no name")?);
    let mut best = [[f64::INFINITY; 2]; SIDES.len()];
    for _ in 0..TURNS {
        for (program, path) in [&this, &fat].into_iter().enumerate() {
            let figures = run(path)?;
            for (side, slot) in SIDES.iter().zip(&mut best) {
                let ns = figures[name(*side)].as_f64().ok_or("a figure is missing")?;
                slot[program] = slot[program].min(ns);
            }
        }
    }
    let line = |(side, [default, fat]): (_, [f64; 2])| Line {
        what: WHAT.into(),
        input: name(side),
        peer: "fat LTO".into(),
        unit: "ns".into(),
        ours: Some(default),
        theirs: Some(fat),
        goal: format!("<= {GOAL:.2}"),
        met: Some(default / fat <= GOAL),
    };
    Ok(SIDES.into_iter().zip(best).map(line).collect())
}

fn build(target: &Path) -> Result<(), Box<dyn Error>> {
    let cargo = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
    let status = Command::new(cargo)
        .args(["build", "--profile", "fat", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        .status()?;
    if status.success() { Ok(()) } else { Err("the fat program does not build".into()) }
}

fn run(program: &Path) -> Result<Value, Box<dyn Error>> {
    let output = Command::new(program).arg("--ours").output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
