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
#[path = "testkit/server.rs"]
mod server;

use bug::Bug;
use keepalive::server::Config;
use keepalive::testkit::{Report, Rule, Trial, seeds};
use std::collections::BTreeMap;

#[test]
fn right_drivers_keep_the_contract() {
    for seed in seeds(3_000) {
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

#[test]
fn each_bug_is_called_by_its_name() {
    std::panic::set_hook(Box::new(|_| {}));
    let mut wrong = Vec::new();
    let only = std::env::var("BUG").ok();
    for &(bug, rule, text) in Bug::ALL {
        if only.as_ref().is_some_and(|o| format!("{bug:?}") != *o) {
            continue;
        }
        let mut found: BTreeMap<Rule, (u64, u64)> = BTreeMap::new();
        for seed in 1..=400 {
            let report = Trial::of_server(seed).run(|s, clock| server::serve(s, clock, bug));
            if let Some(broken) = report.broken() {
                found.entry(broken).or_insert((seed, 0)).1 += 1;
            } else if report.panic.is_some() {
                wrong.push(format!("{bug:?}: {report}"));
            }
        }
        println!("{bug:?}: {text}: {found:?}");
        if found.keys().ne([&rule]) {
            wrong.push(format!("{bug:?} is to be called {rule}, and was: {found:?}"));
        }
    }
    for &(bug, rule) in client::BUGS {
        let mut found: BTreeMap<Rule, (u64, u64)> = BTreeMap::new();
        for seed in 1..=400 {
            let report = Trial::of_client(seed).run(|s, clock| client::fetch(s, clock, bug));
            if let Some(broken) = report.broken() {
                found.entry(broken).or_insert((seed, 0)).1 += 1;
            } else if report.panic.is_some() {
                wrong.push(format!("{bug:?}: {report}"));
            }
        }
        println!("client {bug:?}: {found:?}");
        if found.keys().ne([&rule]) {
            wrong.push(format!("{bug:?} is to be called {rule}, and was: {found:?}"));
        }
    }
    drop(std::panic::take_hook());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn one() {
    let seed = std::env::var("ONE").map_or(0, |s| s.parse().unwrap());
    let name = std::env::var("BUG").unwrap_or_default();
    for &(bug, ..) in client::BUGS.iter().filter(|b| format!("{:?}", b.0) == name) {
        println!("{}", Trial::of_client(seed).run(|s, clock| client::fetch(s, clock, bug)));
    }
    for &(bug, ..) in Bug::ALL.iter().filter(|b| format!("{:?}", b.0) == name) {
        println!("{}", Trial::of_server(seed).run(|s, clock| server::serve(s, clock, bug)));
    }
}
