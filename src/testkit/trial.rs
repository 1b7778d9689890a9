//! One driver, one stream, one verdict.

use super::chance::Source;
use super::clock::Clock;
use super::net::Net;
use super::pipe::Weather;
use super::rule::{Breach, Rule};
use super::script::Script;
use super::stream::Stream;
use core::fmt;
use core::time::Duration;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::prelude::v1::*;

/// A driver's test on one stream: peer and weather are drawn from the seed, unless they are given.
///
/// ```
/// use keepalive::testkit::{Rule, Trial, server::Connection};
/// use keepalive::server::Config;
/// use std::io::Read;
///
/// // A driver that takes EOF for the end of everything.
/// let report = Trial::of_server(7).run(|mut stream, clock| {
///     let _conn = Connection::new(&Config::origin(), clock.now());
///     let mut space = [0; 4096];
///     while let Ok(1..) = stream.read(&mut space) {}
/// });
/// assert!(report.broken().is_some());
/// ```
#[derive(Clone, Debug)]
pub struct Trial {
    seed: u64,
    script: Script,
    weather: Weather,
    slack: Duration,
    allowed: Vec<Rule>,
}

impl Trial {
    fn new(seed: u64, draw: fn(&mut Source<'_>) -> Script) -> Self {
        let mut source = Source::seeded(seed);
        let weather = Weather::draw(&mut source);
        let (slack, allowed) = (Duration::from_secs(1), Vec::new());
        Self { seed, script: draw(&mut source), weather, slack, allowed }
    }

    /// Of a server's driver: the peer is a client.
    #[must_use]
    pub fn of_server(seed: u64) -> Self {
        Self::new(seed, Script::client)
    }

    /// Of a client's driver: the peer is a server.
    #[must_use]
    pub fn of_client(seed: u64) -> Self {
        Self::new(seed, Script::server)
    }

    /// With a peer that plays this script.
    #[must_use]
    pub fn script(mut self, script: Script) -> Self {
        self.script = script;
        self
    }

    /// In this weather.
    #[must_use]
    pub fn weather(mut self, weather: Weather) -> Self {
        self.weather = weather;
        self
    }

    /// With deadlines that may be noticed so late. Default 1 s.
    #[must_use]
    pub fn slack(mut self, slack: Duration) -> Self {
        self.slack = slack;
        self
    }

    /// With a rule that may be broken.
    #[must_use]
    pub fn allow(mut self, rule: Rule) -> Self {
        self.allowed.push(rule);
        self
    }

    /// Runs a driver to its end, and reports.
    pub fn run<T>(self, driver: impl FnOnce(Stream, Clock) -> T) -> Report<T> {
        self.start(|_, stream, clock| Some(driver(stream, clock)))
    }

    /// Runs a driver that is a future to its end, and reports.
    pub fn run_async<T, F: Future<Output = T>>(
        self,
        driver: impl FnOnce(Stream, Clock) -> F,
    ) -> Report<T> {
        self.start(|net, stream, clock| net.block_on(driver(stream, clock)))
    }

    fn start<T>(self, driver: impl FnOnce(&Net, Stream, Clock) -> Option<T>) -> Report<T> {
        let net = Net::new();
        let stream = net.stream(self.script.clone(), self.weather, self.seed);
        let watch = stream.watch();
        watch.slack(self.slack);
        self.allowed.iter().for_each(|rule| watch.allow(*rule));
        let clock = net.clock();
        let ran = catch_unwind(AssertUnwindSafe(|| driver(&net, stream, clock)));
        watch.withdraw();
        let (result, panic) = match ran {
            Ok(result) => (result, None),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
                (None, Some(text.unwrap_or_default()))
            }
        };
        let (result, panic) = match result {
            None if panic.is_none() => {
                (None, Some("it waits for what will never happen".to_owned()))
            }
            _ => (result, panic),
        };
        let breach = watch.breach();
        let unmet = if breach.is_none() { net.unmet().pop() } else { None };
        let Self { seed, script, weather, .. } = self;
        Report { seed, script, weather, breach, unmet, panic, result }
    }
}

/// What came of a [`Trial`]. Its text has everything that is needed to try again.
///
/// ```
/// use keepalive::testkit::{Report, Trial};
/// let report: Report<&str> = Trial::of_server(7).run(|_, _| "no connection, no contract");
/// assert!(report.is_fine() && report.to_string().starts_with("SEED=7\n"));
/// assert_eq!(report.check(), "no connection, no contract");
/// ```
#[derive(Clone, Debug)]
pub struct Report<T> {
    /// The seed.
    pub seed: u64,
    /// What the peer did.
    pub script: Script,
    /// The weather.
    pub weather: Weather,
    /// The first rule that the driver broke.
    pub breach: Option<Breach>,
    /// What the peer waited for in vain.
    pub unmet: Option<String>,
    /// What the driver said when it panicked, or why it never ended.
    pub panic: Option<String>,
    /// What the driver returned.
    pub result: Option<T>,
}

impl<T> Report<T> {
    /// The rule that was broken first, if one was.
    #[must_use]
    pub fn broken(&self) -> Option<Rule> {
        self.breach.as_ref().map(|b| b.rule)
    }

    /// Whether nothing is to be said against the driver.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.breach.is_none() && self.unmet.is_none() && self.panic.is_none()
    }

    /// What the driver returned.
    ///
    /// # Panics
    /// If there is something to be said against it: the text has the seed, the rule by name, what the
    /// driver did last, and the script of the peer.
    #[track_caller]
    #[allow(clippy::panic, reason = "panicking is what it is for")]
    pub fn check(self) -> T {
        let text = if self.is_fine() { String::new() } else { self.to_string() };
        match self.result {
            Some(result) if text.is_empty() => result,
            _ => panic_any(text),
        }
    }
}

impl<T> fmt::Display for Report<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "SEED={}", self.seed)?;
        if let Some(breach) = &self.breach {
            writeln!(f, "{breach}")?;
        }
        if let Some(unmet) = &self.unmet {
            writeln!(f, "the peer waited in vain: {unmet}")?;
        }
        if let Some(panic) = &self.panic {
            writeln!(f, "the driver did not end: {panic}")?;
        }
        if self.is_fine() {
            writeln!(f, "nothing is to be said against the driver")?;
        }
        writeln!(f, "{:?}", self.weather)?;
        write!(f, "{}", self.script)
    }
}
