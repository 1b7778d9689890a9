//! keepalive against others: `cargo run --release --manifest-path benches/peers/Cargo.toml`.
//!
//! One process, one run, one table of ratios, with a verdict on each goal. It reports and does not
//! gate: the exit status is 0 whatever the verdicts are.

mod agree;
mod alloc;
#[path = "../../inputs/mod.rs"]
mod inputs;
mod measure;
mod report;
mod rows;
mod sides;

use lexopt::prelude::*;
use regex_lite::Regex;
use std::time::Duration;

const HELP: &str = "\
keepalive against others

    cargo run --release --manifest-path benches/peers/Cargo.toml -- [OPTIONS]

    --only REGEX    rows whose \"what input peer\" match
    --quick         a fifth of the time
    --json FILE     write the rows to FILE, too
";

struct Options {
    only: Option<Regex>,
    json: Option<String>,
    quick: bool,
}

fn options() -> Result<Option<Options>, lexopt::Error> {
    let mut options = Options { only: None, json: None, quick: false };
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("only") => {
                let pattern = args.value()?.string()?;
                let regex = Regex::new(&pattern).map_err(|e| lexopt::Error::Custom(e.into()))?;
                options.only = Some(regex);
            }
            Long("json") => options.json = Some(args.value()?.string()?),
            Long("quick") => options.quick = true,
            Long("help") | Short('h') => return Ok(None),
            _ => return Err(arg.unexpected()),
        }
    }
    Ok(Some(options))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(options) = options()? else {
        print!("{HELP}");
        return Ok(());
    };
    println!("all sides agree on {} requests", agree::check());
    let (mut groups, mut rows) = rows::all();
    if let Some(only) = &options.only {
        rows.retain(|r| only.is_match(&format!("{} {} {}", r.what, r.input, r.peer)));
    }
    rows::prune(&mut groups, &rows);
    let passes = if options.quick { 2 } else { 10 };
    groups.run(passes, Duration::from_millis(20));
    let lines: Vec<_> = rows.iter().map(|row| report::Line::of(row, &groups)).collect();
    report::print(&lines);
    if let Some(path) = &options.json {
        report::save(path, &lines)?;
    }
    Ok(())
}
