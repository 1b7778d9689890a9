//! The test kit under test: drivers with one bug each, which it must call by name; drivers without,
//! of which it must have nothing to say, over thousands of seeds.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "testkit/blocking.rs"]
mod blocking;
#[path = "testkit/bug.rs"]
mod bug;
#[path = "testkit/client.rs"]
mod client;
#[path = "testkit/pipe.rs"]
mod pipe;
#[path = "testkit/same.rs"]
mod same;
#[path = "testkit/scripts.rs"]
mod scripts;
#[path = "testkit/server.rs"]
mod server;
#[path = "testkit/strategies.rs"]
mod strategies;
#[path = "testkit/trial.rs"]
mod trial;
#[path = "testkit/watch.rs"]
mod watch;

use bug::Bug;
use keepalive::server::Config;
use keepalive::testkit::{Report, Rule, Trial, seeds};
use std::collections::BTreeMap;

#[test]
fn right_drivers_keep_the_contract() {
    for seed in seeds(if cfg!(debug_assertions) { 600 } else { 10_000 }) {
        let fine = |report: Report<_>| report.check();
        fine(Trial::of_server(seed).run(|s, clock| {
            server::serve(s, clock, Bug::None);
        }));
        let config = Config::origin();
        fine(Trial::of_server(seed).run(|s, clock| {
            blocking::serve(s, &config, clock).expect("no failure");
        }));
        fine(Trial::of_server(seed).run_async(|s, clock| async {
            blocking::serve_async(s, Config::origin(), clock).await.expect("no failure");
        }));
        fine(Trial::of_client(seed).run(|s, clock| {
            client::fetch(s, clock, client::Bug::None);
        }));
    }
}

/// Runs a driver with a bug on many seeds, until it has shown often enough.
fn called(run: impl Fn(u64) -> Report<()>) -> Result<BTreeMap<Rule, Found>, String> {
    let mut found: BTreeMap<Rule, Found> = BTreeMap::new();
    for seed in seeds(500) {
        let report = run(seed);
        match report.broken() {
            Some(rule) => found.entry(rule).or_insert(Found { first: seed, times: 0 }).times += 1,
            None if report.panic.is_some() => return Err(report.to_string()),
            None => {}
        }
        if seed >= 60 && found.values().map(|f| f.times).sum::<u64>() >= 25 {
            break;
        }
    }
    Ok(found)
}

#[derive(Debug)]
struct Found {
    first: u64,
    times: u64,
}

#[test]
fn each_bug_is_called_by_its_name() {
    std::panic::set_hook(Box::new(|_| {}));
    let mut all = Vec::new();
    for &(bug, rule, text) in Bug::ALL {
        let run = |seed| {
            Trial::of_server(seed).run(|s, clock| {
                server::serve(s, clock, bug);
            })
        };
        all.push((format!("a server that {text}"), rule, called(run)));
    }
    for &(bug, rule, text) in client::Bug::ALL {
        let run = |seed| {
            Trial::of_client(seed).run(|s, clock| {
                client::fetch(s, clock, bug);
            })
        };
        all.push((format!("a client that {text}"), rule, called(run)));
    }
    drop(std::panic::take_hook());
    let mut wrong = Vec::new();
    for (text, rule, found) in all {
        match found {
            Ok(found) if found.keys().eq([&rule]) => {
                let Found { first, times } = found[&rule];
                println!("{rule}: {text}: {times} times, first with seed {first}");
            }
            other => wrong.push(format!("{text} is to be called {rule}, and was: {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_rule_is_broken_by_some_driver() {
    let broken = |rule: &Rule| {
        Bug::ALL.iter().any(|(_, r, _)| r == rule)
            || client::Bug::ALL.iter().any(|(_, r, _)| r == rule)
    };
    let whole: Vec<_> = Rule::ALL.iter().filter(|rule| !broken(rule)).collect();
    assert!(whole.is_empty(), "nobody breaks {whole:?}");
}
