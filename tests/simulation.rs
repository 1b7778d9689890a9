//! Clients and a server, or a relay between them, on a network with a will of its own.
//!
//! Each world is made from one seed: the weather (settings, network, faults), the requests, and how
//! the server's application treats each. Checked: each response belongs to its request, and its
//! content arrives whole or is said not to; no request is executed twice unless it is idempotent and a
//! verdict allowed it, and no attempt twice; a verdict of safe was never executed; no close is without a
//! reason; every world comes to rest with all connections closed and all requests ended; and in calm
//! weather all of them succeed. The machines' own invariants hold after each step. What is rare is
//! counted, and must come up in the fixed worlds of a debug build.
//!
//! `SEED=` replays one world (`EXCHANGES=` so many requests of it, `TRACE=1` told step by step);
//! `FOR_SECONDS=` runs for so long, from seed `FIRST=` on, and then from a fresh one.
#![allow(
    clippy::while_let_loop,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing
)]

mod sim;

use sim::shared::Stats;
use sim::world::{World, summary};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// Requests in one world.
const JOBS: u32 = 40;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|v| v.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("?").to_owned()
}

fn run(seed: u64, jobs: u32, trace: bool) -> Result<Stats, String> {
    catch_unwind(AssertUnwindSafe(|| World::new(seed, jobs, trace).run())).map_err(|p| text(&*p))
}

/// A failing seed with as few requests as still fail.
fn shortest(seed: u64, jobs: u32) -> (u32, String) {
    for jobs in 1..jobs {
        if let Err(why) = run(seed, jobs, false) {
            return (jobs, why);
        }
    }
    (jobs, run(seed, jobs, false).expect_err("it failed before"))
}

fn report(seed: u64, jobs: u32) -> ! {
    let (jobs, why) = shortest(seed, jobs);
    drop(std::panic::take_hook());
    println!("SEED={seed} EXCHANGES={jobs} TRACE=1 cargo test --test simulation -- --nocapture");
    panic!("seed {seed} fails with {jobs} exchanges: {why}");
}

/// Worlds from this seed on, for so long, on so many threads.
fn worlds(first: u64, time: Duration, most: u64, threads: usize) -> (Stats, u64, Duration) {
    let (next, bad) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
    let stop = AtomicBool::new(false);
    let start = Instant::now();
    let mut all = Stats::default();
    std::thread::scope(|scope| {
        let work = || {
            let mut stats = Stats::default();
            while !stop.load(Ordering::Relaxed) && start.elapsed() < time {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= most {
                    break;
                }
                let seed = first.wrapping_add(n);
                match run(seed, JOBS, false) {
                    Ok(found) => stats.add(&found),
                    Err(_) => {
                        bad.fetch_min(seed, Ordering::Relaxed);
                        stop.store(true, Ordering::Relaxed);
                    }
                }
            }
            stats
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            all.add(&worker.join().expect("a worker that catches panics"));
        }
    });
    let time = start.elapsed();
    match bad.load(Ordering::Relaxed) {
        u64::MAX => (all, next.load(Ordering::Relaxed).min(most), time),
        seed => report(seed, JOBS),
    }
}

#[test]
fn worlds_come_to_a_good_end() {
    if std::env::var_os("TRACE").is_none() {
        std::panic::set_hook(Box::new(|_| {}));
    }
    if let Some(seed) = number("SEED") {
        let jobs = number("EXCHANGES").map_or(JOBS, |n| n as u32);
        match run(seed, jobs, std::env::var_os("TRACE").is_some()) {
            Ok(stats) => println!("seed {seed}: {}", summary(&stats)),
            Err(_) if std::env::var_os("TRACE").is_none() => report(seed, jobs),
            Err(why) => panic!("seed {seed}: {why}"),
        }
        return;
    }
    let fixed = number("FIRST").unwrap_or(1);
    let fresh = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let fresh = fresh.as_nanos() as u64;
    println!("fixed seeds from {fixed}, fresh seeds from {fresh}");
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    // A debug build runs a number of worlds that is always the same.
    let debug = cfg!(debug_assertions) && number("FOR_SECONDS").is_none();
    let (first, then) = if debug { (120, 10) } else { (u64::MAX, u64::MAX) };
    let seconds = number("FOR_SECONDS").unwrap_or(if debug { 600 } else { 10 });
    let time = Duration::from_secs(seconds) / 2;
    for (what, seed, most) in [("fixed", fixed, first), ("fresh", fresh, then)] {
        let before = computing();
        let (stats, count, took) = worlds(seed, time, most, threads);
        print_stats(what, &stats, count, took, computing() - before);
        if what == "fixed" && number("FIRST").is_none() && count == first {
            each_kind_comes_up(&stats);
        }
    }
}

/// What must come up in the fixed worlds, or nothing is shown by their good end: retries, all that is
/// noted as rare, and connections of each end that close for these reasons.
fn each_kind_comes_up(stats: &Stats) {
    drop(std::panic::take_hook());
    assert!(stats.retries >= 50, "hardly any retries: {}", stats.retries);
    assert_eq!(stats.rare.len(), 7, "a kind does not come up: {:?}", stats.rare);
    assert!(stats.rare.values().all(|&n| n >= 5), "hardly ever comes up: {:?}", stats.rare);
    let missing: Vec<_> = REASONS.iter().filter(|pair| !stats.reasons.contains_key(pair)).collect();
    assert!(missing.is_empty(), "no end closes for these reasons: {missing:?}");
}

/// Reasons that each end comes to by itself, or by what the other does.
const REASONS: &[(&str, &str)] = &[
    ("client", "Aborted"),
    ("client", "DiscardLimit"),
    ("client", "IdleTimeout"),
    ("client", "ImmediateOnly"),
    ("client", "Lifetime"),
    ("client", "PeerClosed"),
    ("client", "ResponseClose"),
    ("client", "ResponseTimeout"),
    ("client", "SentClose"),
    ("client", "TransportLost"),
    ("client", "WriteTimeout"),
    ("server", "ContentTimeout"),
    ("server", "Draining"),
    ("server", "ExpectUnmet"),
    ("server", "HardStop"),
    ("server", "HeadTimeout"),
    ("server", "IdleTimeout"),
    ("server", "KeepAliveUnused"),
    ("server", "Lifetime"),
    ("server", "NotDelimited"),
    ("server", "PeerClosed"),
    ("server", "PeerSaidClose"),
    ("server", "Pressure"),
    ("server", "RequestLimit"),
    ("server", "ResponseFailed"),
    ("server", "TransportLost"),
    ("server", "UnreadContent"),
    ("server", "Unused"),
    ("server", "WriteTimeout"),
    ("relay, down", "ContentTimeout"),
    ("relay, down", "IdleTimeout"),
    ("relay, down", "RequestLimit"),
    ("relay, down", "ResponseFailed"),
    ("relay, down", "TransportLost"),
    ("relay, up", "Aborted"),
    ("relay, up", "IdleTimeout"),
    ("relay, up", "ResponseClose"),
    ("relay, up", "ResponseTimeout"),
    ("relay, up", "TransportLost"),
];

/// Seconds of computing so far, where the system tells.
fn computing() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |n: usize| fields.get(n).and_then(|f| f.parse::<f64>().ok()).unwrap_or_default();
    (ticks(11) + ticks(12)) / 100.0
}

fn print_stats(what: &str, stats: &Stats, worlds: u64, took: Duration, computed: f64) {
    let took = took.as_secs_f64();
    println!(
        "{what}: {} exchanges in {worlds} worlds, {} connections, {} retries; {took:.1} s: {:.0} a minute; \
         {computed:.1} s of one core: {:.0} a minute",
        stats.exchanges,
        stats.connections,
        stats.retries,
        stats.exchanges as f64 / took * 60.0,
        stats.exchanges as f64 / computed.max(0.01) * 60.0,
    );
    println!("  {}", summary(stats));
    println!("  {:?}", stats.rare);
    for ((who, why), n) in &stats.reasons {
        print!("  {who} {why} {n}");
    }
    println!();
}
