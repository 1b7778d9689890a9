//! Verdicts on the rows, printed and as JSON.

use crate::measure::Groups;
use crate::rows::{Goal, Row};
use serde_json::{Value, json};
use std::path::Path;

/// A row with its figures.
#[derive(Clone, Debug)]
pub struct Line {
    pub what: String,
    pub input: String,
    pub peer: String,
    pub unit: String,
    pub ours: Option<f64>,
    pub theirs: Option<f64>,
    pub goal: String,
    pub met: Option<bool>,
}

impl Line {
    pub fn of(row: &Row, groups: &Groups) -> Self {
        let (ours, theirs) = (row.value)(groups);
        let ratio = ours.zip(theirs).map(|(o, t)| o / t);
        let (goal, met) = match row.goal {
            Goal::None => (String::new(), None),
            Goal::Ratio(r) => (format!("<= {r:.2}"), ratio.map(|x| x <= r)),
            Goal::Faster(f) => (format!(">= {f}x"), ratio.map(|x| 1.0 / x >= f)),
            Goal::Most(m) => (format!("<= {m} {}", row.unit), ours.map(|x| x <= m)),
        };
        Self {
            what: row.what.into(),
            input: row.input.into(),
            peer: row.peer.into(),
            unit: row.unit.into(),
            ours,
            theirs,
            goal: goal.trim_end().into(),
            met,
        }
    }

    /// Ours divided by theirs; or, where the goal is put that way, how many times as fast ours is.
    pub fn ratio(&self) -> String {
        match self.ours.zip(self.theirs).map(|(o, t)| o / t) {
            Some(r) if self.goal.ends_with('x') => format!("{}x", figure(1.0 / r)),
            Some(r) if r.is_finite() => format!("{r:.2}"),
            _ => String::new(),
        }
    }

    pub fn verdict(&self) -> &'static str {
        match self.met {
            None if self.goal.is_empty() => "",
            None => "?",
            Some(true) => "yes",
            Some(false) => "NO",
        }
    }

    fn to_json(&self) -> Value {
        let ratio = self.ours.zip(self.theirs).map(|(o, t)| o / t).filter(|r| r.is_finite());
        json!({
            "what": self.what, "input": self.input, "peer": self.peer, "unit": self.unit,
            "ours": self.ours, "theirs": self.theirs, "ratio": ratio,
            "goal": self.goal, "met": self.met,
        })
    }

    fn from_json(value: &Value) -> Option<Self> {
        let text = |key: &str| Some(value.get(key)?.as_str()?.to_owned());
        Some(Self {
            what: text("what")?,
            input: text("input")?,
            peer: text("peer")?,
            unit: text("unit")?,
            ours: value.get("ours")?.as_f64(),
            theirs: value.get("theirs")?.as_f64(),
            goal: text("goal")?,
            met: value.get("met")?.as_bool(),
        })
    }
}

/// A number with as many digits as mean something.
pub fn figure(x: f64) -> String {
    match x.abs() {
        0.0 => "0".into(),
        a if a < 10.0 => format!("{x:.2}"),
        a if a < 1000.0 => format!("{x:.1}"),
        _ => format!("{x:.0}"),
    }
}

pub fn print(lines: &[Line]) {
    let cell = |x: Option<f64>| x.map(figure).unwrap_or_default();
    println!(
        "{:<29} {:<16} {:<23} {:>9} {:>9} {:<11} {:>7}  {:<17} met",
        "what", "input", "peer", "ours", "theirs", "unit", "ratio", "goal"
    );
    for l in lines {
        println!(
            "{:<29} {:<16} {:<23} {:>9} {:>9} {:<11} {:>7}  {:<17} {}",
            l.what,
            l.input,
            l.peer,
            cell(l.ours),
            cell(l.theirs),
            l.unit,
            l.ratio(),
            l.goal,
            l.verdict()
        );
    }
    let met = |m| lines.iter().filter(|l| l.met == Some(m)).count();
    println!("goals: {} met, {} missed", met(true), met(false));
}

/// Writes the lines to a file, with where they were taken.
pub fn save(path: &Path, machine: &str, lines: &[Line]) -> std::io::Result<()> {
    let rows: Vec<Value> = lines.iter().map(Line::to_json).collect();
    let mut text = serde_json::to_string_pretty(&json!({ "machine": machine, "rows": rows }))?;
    text.push('\n');
    std::fs::write(path, text)
}

/// Reads what [`save`] wrote: where it was taken, and the lines.
pub fn load(path: &Path) -> Result<(String, Vec<Line>), Box<dyn std::error::Error>> {
    let value: Value = serde_json::from_slice(&std::fs::read(path)?)?;
    let machine = value["machine"].as_str().ok_or("no machine")?.to_owned();
    let rows = value["rows"].as_array().ok_or("no rows")?;
    let lines = rows.iter().map(|v| Line::from_json(v).ok_or("a bad row"));
    Ok((machine, lines.collect::<Result<_, _>>()?))
}

/// The processor, in the words of the kernel.
pub fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|l| l.strip_prefix("model name")?.split_once(": "));
    let name = name.map_or(std::env::consts::ARCH, |(_, name)| name);
    format!("{name}, {}", std::env::consts::OS)
}
