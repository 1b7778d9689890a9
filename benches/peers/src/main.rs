//! keepalive against others: `cargo run --release --manifest-path benches/peers/Cargo.toml`.
//!
//! One process, one run, one table of ratios. It reports and does not judge: exit status 0.

mod heads;
#[path = "../../inputs/mod.rs"]
mod inputs;
mod measure;
mod table;

use lexopt::prelude::*;
use std::time::Duration;

const PASSES: u32 = 3;

fn main() -> Result<(), lexopt::Error> {
    let mut only = regex_lite::Regex::new("").expect("matches all");
    let mut budget = Duration::from_millis(200);
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("only") => {
                only = regex_lite::Regex::new(&args.value()?.string()?)
                    .map_err(|e| lexopt::Error::Custom(e.into()))?;
            }
            Long("quick") => budget = Duration::from_millis(40),
            _ => return Err(arg.unexpected()),
        }
    }
    let (mut groups, mut rows) = (Vec::new(), Vec::new());
    heads::add(&mut groups, &mut rows);
    rows.retain(|r| only.is_match(&format!("{} {} {}", r.what, r.input, r.peer)));
    groups.retain(|g| rows.iter().any(|r| r.group == g.what && r.input == g.input));
    for _ in 0..PASSES {
        for group in &mut groups {
            group.pass(budget);
        }
    }
    rows.sort_by_key(|r| r.what);
    table::print(&groups, &rows);
    Ok(())
}
