//! The scenarios of SEMANTICS, section 10, and more: scripts of bytes, calls and moments, with what
//! must come of them. `tests/cases/scenarios/README.md` describes the format.
//!
//! Each is run whole, byte by byte, at random cuts, with output space cut down, and with content that
//! goes out uncopied; and the manners are compared with each other, line by line.
#![allow(clippy::indexing_slicing, clippy::string_slice)]

#[path = "scenarios/case.rs"]
mod case;
#[path = "scenarios/conn.rs"]
mod conn;
#[path = "scenarios/drive.rs"]
mod drive;
#[path = "scenarios/event.rs"]
mod event;
#[path = "scenarios/relay.rs"]
mod relay;
#[path = "scenarios/settings.rs"]
mod settings;
#[path = "scenarios/show.rs"]
mod show;

use case::{Case, Role};
use drive::{Driver, Manner};
use relay::Relay;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Random cuts of each case.
const CUTS: u64 = 20;
/// Scenarios numbered in SEMANTICS.
const NUMBERED: u32 = 147;

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/scenarios");
    case::load(&folder).unwrap()
}

/// Says something even where the harness captures output.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A seed for each case that does not change from run to run.
fn seed(case: &Case, n: u64) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325 ^ n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    case.title.bytes().fold(start, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
}

type Trace = Vec<(usize, String)>;

/// Runs a case in one manner; says what failed and where.
fn run(case: &Case, manner: Manner) -> Result<Trace, String> {
    let n = if let Manner::Cut(n) = manner { n } else { 0 };
    let at = Cell::new(case.line);
    let done = catch_unwind(AssertUnwindSafe(|| {
        if case.role == Role::Relay {
            let mut relay =
                Relay::new(case, manner, seed(case, n)).map_err(|what| (case.line, what))?;
            relay.run(&at).map_err(|f| (f.line, f.what))?;
            return Ok(relay.trace);
        }
        let mut driver =
            Driver::new(case, manner, seed(case, n)).map_err(|what| (case.line, what))?;
        driver.run(&at).map_err(|f| (f.line, f.what))?;
        Ok::<_, (usize, String)>(driver.trace)
    }));
    let (line, what) = match done {
        Ok(Ok(trace)) => return Ok(trace),
        Ok(Err(fault)) => fault,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            (at.get(), format!("panic: {}", text.unwrap_or_default()))
        }
    };
    Err(report(case, line, manner, &what))
}

fn report(case: &Case, line: usize, manner: Manner, what: &str) -> String {
    let text = case.script.iter().find(|l| l.number == line).map_or("", |l| l.text.as_str());
    let text: String = text.chars().take(160).collect();
    format!("{}:{line}: # {} ({manner:?})\n    {text}\n      {what}", case.file, case.title)
}

fn manners() -> Vec<Manner> {
    let mut all = vec![Manner::Bytes, Manner::Tight, Manner::TightBytes, Manner::Framed];
    all.extend((0..CUTS).map(Manner::Cut));
    all
}

/// Runs a case in all manners, and compares them.
fn run_all(case: &Case) -> Result<u64, String> {
    let whole = run(case, Manner::Whole)?;
    let mut runs = 1;
    for manner in if case.whole_only { Vec::new() } else { manners() } {
        let other = run(case, manner)?;
        runs += 1;
        for ((line, a), (_, b)) in whole.iter().zip(&other) {
            // What is written in pieces is put together differently.
            let tight = matches!(manner, Manner::Tight | Manner::TightBytes);
            if a != b && !(tight && squeeze(a) == squeeze(b)) {
                let what = format!("differs from the whole:\n      {a}\n      {b}");
                return Err(report(case, *line, manner, &what));
            }
        }
    }
    Ok(runs)
}

/// A record without the places where output was cut.
fn squeeze(text: &str) -> String {
    text.replace("> ", "")
}

#[test]
fn scenarios() {
    let cases = cases();
    let only = std::env::var("SCENARIO").ok();
    std::panic::set_hook(Box::new(|_| {}));
    let (mut runs, mut failed, mut count) = (0, Vec::new(), 0);
    let chosen: Vec<&Case> = cases
        .iter()
        .filter(|c| only.as_ref().is_none_or(|o| format!("{}# {}", c.file, c.title).contains(o)))
        .collect();
    // Where one failure is enough, what is quick goes first.
    let fail_fast = std::env::var_os("FAIL_FAST").is_some();
    if fail_fast {
        failed.extend(chosen.iter().find_map(|case| run(case, Manner::Whole).err()));
    }
    for case in chosen {
        if fail_fast && !failed.is_empty() {
            break;
        }
        count += 1;
        match run_all(case) {
            Ok(n) => runs += n,
            Err(e) => failed.push(e),
        }
    }
    let _ = std::panic::take_hook();
    let numbers: BTreeSet<u32> = cases.iter().flat_map(|c| c.numbers.iter().copied()).collect();
    say(&format!(
        "scenarios: {count} cases in {runs} runs; {} of the {NUMBERED} numbered ones",
        numbers.len()
    ));
    assert!(
        failed.is_empty(),
        "{} of {count} scenarios failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

#[test]
fn every_number_has_its_scenario() {
    let numbers: BTreeSet<u32> = cases().iter().flat_map(|c| c.numbers.clone()).collect();
    let missing: Vec<u32> = (1..=NUMBERED).filter(|n| !numbers.contains(n)).collect();
    assert!(missing.is_empty(), "no scenario for {missing:?}");
    assert!(numbers.iter().all(|n| (1..=NUMBERED).contains(n)), "unknown numbers");
}

#[test]
fn a_wrong_expectation_is_noticed() {
    let fails = |script: &str| {
        let text = format!("# t\nrole: server\n{script}");
        let cases = case::parse("inline", &text).unwrap();
        run_all(&cases[0]).unwrap_err()
    };
    let e = fails("< {G}\nevent request GET /\nevent end\nverdict close\n");
    assert!(e.contains("inline:6") && e.contains("actual   verdict persist"), "{e}");
    assert!(fails("< {G}\nevent request GET /\n").contains("not expected here: event end"));
    assert!(fails("< {G}\nevent request GET /b\n").contains("actual   event request GET /"));
    assert!(fails("do send \"a\"\n").contains("refused: NotNow"));
    assert!(fails("at 31s\nverdict persist\n").contains("passed over: head 30s"));
}
