//! What a server did, told at its end: each connection once, with the reason why it was closed.

use keepalive::{CloseReason, Failure};
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

/// Counts what happens, and prints it as lines of `name value`.
#[derive(Debug)]
pub struct Account {
    started: Instant,
    /// Requests received.
    pub requests: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Connections that `accept` could not give.
    pub refused: u64,
    /// Connections closed, by reason.
    closes: BTreeMap<&'static str, u64>,
    /// Requests and connections that failed, by kind.
    failures: BTreeMap<&'static str, u64>,
    /// How long it ran, and the resident memory at moments with a name.
    moments: Vec<(&'static str, Duration, Option<u64>)>,
}

impl Account {
    /// Begins now.
    #[must_use]
    pub fn open() -> Self {
        let mut account = Self {
            started: Instant::now(),
            requests: 0,
            connections: 0,
            refused: 0,
            closes: BTreeMap::new(),
            failures: BTreeMap::new(),
            moments: Vec::new(),
        };
        account.moment("start");
        account
    }

    /// Notes the time and the memory in use.
    pub fn moment(&mut self, name: &'static str) {
        self.moments.push((name, self.started.elapsed(), resident()));
    }

    /// A connection was closed, or left HTTP.
    pub fn closed(&mut self, why: CloseReason) {
        *self.closes.entry(why.name()).or_default() += 1;
    }

    /// The machine reported a failure.
    pub fn failed(&mut self, failure: &Failure) {
        *self.failures.entry(failure.kind.name()).or_default() += 1;
    }

    /// How many were closed.
    #[must_use]
    pub fn closes(&self) -> u64 {
        self.closes.values().sum()
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "requests {}", self.requests)?;
        writeln!(f, "connections {}", self.connections)?;
        writeln!(f, "refused {}", self.refused)?;
        writeln!(f, "closes {}", self.closes())?;
        for (why, n) in &self.closes {
            writeln!(f, "close {why} {n}")?;
        }
        for (kind, n) in &self.failures {
            writeln!(f, "failure {kind} {n}")?;
        }
        for (name, after, memory) in &self.moments {
            let kilobytes = memory.map_or("unknown".into(), |kb| kb.to_string());
            writeln!(f, "resident {name} {kilobytes} KiB after {:.1} s", after.as_secs_f64())?;
        }
        Ok(())
    }
}

/// Resident memory in KiB, where the system tells it as Linux does.
#[must_use]
pub fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}
