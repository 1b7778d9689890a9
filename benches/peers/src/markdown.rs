//! Fills the tables of a page: between `<!-- table: NAME -->` and `<!-- end -->` stands what is
//! printed here, and nothing else on the page is a measured number.

use crate::report::{Line, figure};
use std::error::Error;
use std::path::Path;

const BEGIN: &str = "<!-- table: ";
const END: &str = "<!-- end -->";

/// The page with its tables anew.
pub fn fill(page: &str, machine: &str, lines: &[Line]) -> Result<String, Box<dyn Error>> {
    let mut filled = String::new();
    let mut rest = page;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (name, after) = after.split_once(" -->\n").ok_or("a marker without an end")?;
        let (_, after) = after.split_once(END).ok_or("a table without an end")?;
        let table = table(name, machine, lines)?;
        filled.push_str(&format!("{before}{BEGIN}{name} -->\n{table}{END}"));
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// Fills the page in a file.
pub fn write(path: &Path, machine: &str, lines: &[Line]) -> Result<(), Box<dyn Error>> {
    let page = std::fs::read_to_string(path)?;
    Ok(std::fs::write(path, fill(&page, machine, lines)?)?)
}

fn table(name: &str, machine: &str, lines: &[Line]) -> Result<String, Box<dyn Error>> {
    let having = |what: &[&str]| -> Vec<&Line> {
        lines.iter().filter(|l| what.contains(&l.what.as_str())).collect()
    };
    Ok(match name {
        "machine" => format!("{machine}\n"),
        "goals" => {
            let met = lines.iter().filter(|l| l.met == Some(true)).count();
            let all = lines.iter().filter(|l| !l.goal.is_empty()).count();
            format!("{met} of {all} goals are met.\n")
        }
        "heads" => pivot(&having(&["receive a head", "receive a head, others"])),
        "visits" => pivot(&having(&["receive, visit the fields", "visit, others"])),
        "cycles" => pivot(&having(&["whole server cycle"])),
        "more" => pivot(&having(&["whole server cycle, more"])),
        "instructions" => instructions()?,
        "missed" => {
            let missed: Vec<&Line> = lines.iter().filter(|l| l.met == Some(false)).collect();
            if missed.is_empty() { "None.\n".into() } else { rows(&missed) }
        }
        what => {
            let found = having(&what.split(" + ").collect::<Vec<_>>());
            if found.is_empty() {
                return Err(format!("no rows for the table {what:?}").into());
            }
            rows(&found)
        }
    })
}

/// One row a line, with its goal.
fn rows(lines: &[&Line]) -> String {
    let cell = |x: Option<f64>| x.map(figure).unwrap_or_default();
    let mut table = String::from(
        "| | Input | Against | Ours | Theirs | Unit | Ratio | Goal | Met |\n\
         |---|---|---|--:|--:|---|--:|---|---|\n",
    );
    for l in lines {
        table.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
            l.what,
            l.input,
            l.peer,
            cell(l.ours),
            cell(l.theirs),
            l.unit,
            l.ratio(),
            l.goal.replace("<=", "≤").replace(">=", "≥"),
            l.verdict()
        ));
    }
    table
}

/// Inputs down, peers across: nanoseconds, and the ratio of ours with its goal where it has one.
fn pivot(lines: &[&Line]) -> String {
    let mut inputs: Vec<&str> = Vec::new();
    let mut peers: Vec<&str> = Vec::new();
    for l in lines {
        if !inputs.contains(&l.input.as_str()) {
            inputs.push(&l.input);
        }
        if !peers.contains(&l.peer.as_str()) {
            peers.push(&l.peer);
        }
    }
    let mut table = format!("| Input, ns | keepalive | {} |\n", peers.join(" | "));
    table.push_str(&format!("|---|--:|{}\n", "--:|".repeat(peers.len())));
    for input in inputs {
        let of = |peer: &str| lines.iter().find(|l| l.input == input && l.peer == peer);
        let ours = lines.iter().find(|l| l.input == input).and_then(|l| l.ours);
        table.push_str(&format!("| {input} | {} |", ours.map(figure).unwrap_or_default()));
        for peer in &peers {
            let cell = of(peer).and_then(|l| Some((l, l.theirs?)));
            table.push_str(&cell.map_or(" |".into(), |(l, theirs)| {
                let goal = l.goal.replace("<= ", "≤ ").replace(">= ", "≥ ");
                let goal = if goal.is_empty() { goal } else { format!(", goal {goal}") };
                format!(" {} ({}{goal}) |", figure(theirs), l.ratio())
            }));
        }
        table.push('\n');
    }
    table
}

/// The counts that `.ci/instructions` keeps.
fn instructions() -> Result<String, Box<dyn Error>> {
    let counts = concat!(env!("CARGO_MANIFEST_DIR"), "/../instructions.txt");
    let counts = std::fs::read_to_string(counts)?;
    let mut table = String::from("| Case | Instructions a turn |\n|---|--:|\n");
    for line in counts.lines().filter(|l| !l.starts_with('#')) {
        let (case, count) = line.split_once(char::is_whitespace).ok_or("a bad count")?;
        table.push_str(&format!("| {case} | {} |\n", count.trim()));
    }
    Ok(table)
}
