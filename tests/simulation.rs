//! Clients and a server, or a relay between them, on a network with a will of its own.
#![allow(
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
    let seconds = number("SECONDS").unwrap_or(if cfg!(debug_assertions) { 3 } else { 10 });
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let time = Duration::from_secs(seconds);
    let (stats, worlds_run, took) = worlds(fixed, time / 2, u64::MAX, threads);
    print_stats("fixed", &stats, worlds_run, took);
    let (stats, worlds_run, took) = worlds(fresh, time / 2, u64::MAX, threads);
    print_stats("fresh", &stats, worlds_run, took);
}

fn print_stats(what: &str, stats: &Stats, worlds: u64, took: Duration) {
    let rate = stats.exchanges as f64 / took.as_secs_f64() * 60.0;
    println!(
        "{what}: {} exchanges in {worlds} worlds, {} connections, {} retries, {:.1} s: {rate:.0} a minute",
        stats.exchanges,
        stats.connections,
        stats.retries,
        took.as_secs_f64()
    );
    println!("  {}", summary(stats));
    for ((who, why), n) in &stats.reasons {
        print!("  {who} {why} {n}");
    }
    println!();
}
