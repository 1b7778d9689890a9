//! keepalive against others: `cargo run --release --manifest-path benches/peers/Cargo.toml`.
//!
//! One process, one run, one table of ratios, with a verdict on each goal. It reports and does not
//! gate: the exit status is 0 whatever the verdicts are.

mod agree;
mod alloc;
mod charts;
#[path = "../../inputs/mod.rs"]
mod inputs;
mod markdown;
mod measure;
mod profiles;
mod report;
mod rows;
mod sides;

use lexopt::prelude::*;
use regex_lite::Regex;
use report::Line;
use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

const HELP: &str = "\
keepalive measured against others, in one run

    cargo run --release --manifest-path benches/peers/Cargo.toml -- [OPTIONS]

    --only REGEX      rows whose \"what input peer\" match
    --quick           a tenth of the time
    --profiles        the default profile against fat LTO instead; builds itself for that
    --from FILE       read the rows from FILE instead of measuring
    --json FILE       write the rows to FILE; rows of it that are not measured now stay
    --charts DIR      draw charts of the rows
    --markdown PAGE   fill the tables of PAGE with the rows
";

#[derive(Default)]
struct Options {
    only: Option<Regex>,
    quick: bool,
    profiles: bool,
    ours: bool,
    from: Option<PathBuf>,
    json: Option<PathBuf>,
    charts: Option<PathBuf>,
    markdown: Option<PathBuf>,
}

fn options() -> Result<Option<Options>, lexopt::Error> {
    let mut options = Options::default();
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("only") => {
                let pattern = args.value()?.string()?;
                let regex = Regex::new(&pattern).map_err(|e| lexopt::Error::Custom(e.into()))?;
                options.only = Some(regex);
            }
            Long("quick") => options.quick = true,
            Long("profiles") => options.profiles = true,
            // What --profiles has the two programs do.
            Long("ours") => options.ours = true,
            Long("from") => options.from = Some(args.value()?.into()),
            Long("json") => options.json = Some(args.value()?.into()),
            Long("charts") => options.charts = Some(args.value()?.into()),
            Long("markdown") => options.markdown = Some(args.value()?.into()),
            Long("help") | Short('h') => return Ok(None),
            _ => return Err(arg.unexpected()),
        }
    }
    Ok(Some(options))
}

fn measure(options: &Options) -> Vec<Line> {
    println!("all sides agree on {} requests", agree::check());
    let (mut groups, mut rows) = rows::all();
    if let Some(only) = &options.only {
        rows.retain(|r| only.is_match(&format!("{} {} {}", r.what, r.input, r.peer)));
    }
    rows::prune(&mut groups, &rows);
    let passes = if options.quick { 3 } else { 20 };
    groups.run(passes, Duration::from_millis(20));
    rows.iter().map(|row| Line::of(row, &groups)).collect()
}

/// The rows of a file with those measured now in their places. A whole run leaves only what it does not
/// measure.
fn merged(options: &Options, before: Vec<Line>, now: Vec<Line>) -> Vec<Line> {
    let same = |a: &Line, b: &Line| (&a.what, &a.input, &a.peer) == (&b.what, &b.input, &b.peer);
    let whole = options.only.is_none() && !options.profiles && options.from.is_none();
    if whole {
        let others = before.into_iter().filter(|l| l.what == profiles::WHAT);
        return now.into_iter().chain(others).collect();
    }
    let mut all = before;
    for line in now {
        match all.iter_mut().find(|l| same(l, &line)) {
            Some(place) => *place = line,
            None => all.push(line),
        }
    }
    all
}

fn main() -> Result<(), Box<dyn Error>> {
    let Some(options) = options()? else {
        print!("{HELP}");
        return Ok(());
    };
    if options.ours {
        println!("{}", profiles::ours(rows::all().0));
        return Ok(());
    }
    let (machine, mut lines) = match &options.from {
        Some(path) => report::load(path)?,
        None if options.profiles => (report::machine(), profiles::compare()?),
        None => (report::machine(), measure(&options)),
    };
    report::print(&lines);
    if let Some(path) = &options.json {
        if path.exists() {
            let (_, before) = report::load(path)?;
            lines = merged(&options, before, lines);
        }
        report::save(path, &machine, &lines)?;
    }
    if let Some(directory) = &options.charts {
        println!("drawn: {}", charts::write(directory, &lines)?.join(", "));
    }
    if let Some(page) = &options.markdown {
        markdown::write(page, &machine, &lines)?;
    }
    Ok(())
}
