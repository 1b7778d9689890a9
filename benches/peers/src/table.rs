//! Rows, verdicts and how they are printed.

use crate::measure::Group;

/// What is wanted of a row.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// Nothing: it is told for comparison.
    None,
    /// Ours divided by theirs is at most this.
    Ratio(f64),
    /// Theirs divided by ours is at least this.
    Faster(f64),
}

/// Two sides of a group compared.
pub struct Row {
    pub what: &'static str,
    pub group: &'static str,
    pub input: &'static str,
    pub ours: &'static str,
    pub peer: &'static str,
    pub goal: Goal,
}

/// Prints the table, by what is measured and then by input.
pub fn print(groups: &[Group], rows: &[Row]) {
    println!(
        "{:<28} {:<9} {:<16} {:>9} {:>9} {:>7}  {:<8} met",
        "what", "input", "peer", "ours ns", "theirs ns", "ratio", "goal"
    );
    for row in rows {
        let Some(group) = groups.iter().find(|g| g.what == row.group && g.input == row.input)
        else {
            continue;
        };
        let (Some(ours), Some(theirs)) = (group.best(row.ours), group.best(row.peer)) else {
            continue;
        };
        let ratio = ours / theirs;
        let (goal, met) = match row.goal {
            Goal::None => (String::new(), None),
            Goal::Ratio(r) => (format!("<= {r:.2}"), Some(ratio <= r)),
            Goal::Faster(f) => (format!(">= {f}x"), Some(1.0 / ratio >= f)),
        };
        let met = match met {
            None => "",
            Some(true) => "yes",
            Some(false) => "NO",
        };
        println!(
            "{:<28} {:<9} {:<16} {ours:>9.1} {theirs:>9.1} {ratio:>7.2}  {goal:<8} {met}",
            row.what, row.input, row.peer
        );
    }
}
