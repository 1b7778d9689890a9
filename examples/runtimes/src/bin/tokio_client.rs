//! A client on tokio, many requests at once over few connections:
//!
//! ```sh
//! cargo run --release --manifest-path examples/runtimes/Cargo.toml --bin tokio_client -- http://127.0.0.1:8080/ --requests 1000 --at-once 8
//! ```
//!
//! [`exchange`] is the part to read first: one request and its response on one connection, with
//! content streamed in both directions. [`fetch`] is the other half of persistence: which connection,
//! and whether to try again. The pool, which looks before it leaps, is in `src/pool.rs`.

use keepalive::client::{Config, Event, Reuse};
use keepalive::{Clock, Content, Retry};
use keepalive_runtimes::pool::{Pool, Upstream};
use keepalive_runtimes::raise_open_files;
use lexopt::prelude::*;
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::sleep;

const USAGE: &str = "usage: tokio_client URL [--requests N] [--at-once N] [--pause MS] \
                     [--method M] [--octets N] [--expect]";

/// What the content of a request consists of.
static BLOCK: [u8; 16 * 1024] = [b'k'; 16 * 1024];

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[derive(Debug)]
struct Options {
    authority: String,
    target: String,
    requests: u64,
    at_once: u64,
    /// Between one request and the next of the same task.
    pause: Duration,
    method: String,
    /// The content of each request.
    octets: u64,
    /// Asks the server before the content is sent.
    expect: bool,
}

// ------------------------------------------------------------------------ one exchange

/// How an exchange ended.
enum Done {
    /// With a whole response: its status, and how much content it had.
    Whole(u16, u64),
    /// With a response that is a reason to ask again, a 408 or a 417; or without a whole one.
    Not(String, Option<Retry>),
}

/// One request and its response. The content, in both directions, is taken as it comes: neither has to
/// be over before the other begins.
async fn exchange(link: &mut Upstream, options: &Options, expect: bool) -> Outcome<Done> {
    let now = link.now();
    let mut left = options.octets;
    let content = if left > 0 { Content::Length(left) } else { Content::None };
    let fields = [("Host", options.authority.as_str()), ("User-Agent", "tokio_client")];
    let expects = (expect && left > 0).then_some(("Expect", "100-continue"));
    let fields = fields.into_iter().chain(expects);
    link.http.out(now).request(&options.method, &options.target, fields, content)?;

    let (mut status, mut received, mut whole) = (0, 0, false);
    loop {
        let now = link.now();
        while let (Some(event), _) = link.http.next(now, usize::MAX) {
            match event {
                Event::Interim(_) => {}
                Event::Response(head) => {
                    status = head.status();
                    // To be asked now: with the end of the response it is the answer.
                    if let Some(retry) = link.http.retry(0)
                        && retry.allows(true)
                    {
                        return Ok(Done::Not(status.to_string(), Some(retry)));
                    }
                }
                Event::Content(bytes) => received += bytes.len() as u64,
                Event::End(_) => whole = true,
                Event::Failed(failure) => {
                    return Ok(Done::Not(failure.to_string(), link.http.retry(0)));
                }
            }
        }
        // A response may be whole before the request is; then the machine decides whether to go on.
        if whole && link.http.reuse(now) != Reuse::Busy {
            return Ok(Done::Whole(status, received));
        }
        if let Some(ended) = link.ended() {
            return Err(format!("the connection ended: {ended:?}").into());
        }
        // As much of the content as there is room for; none while a 100 is awaited.
        let mut out = link.http.out(now);
        while left > 0 && out.wants().content {
            let n = usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK.len());
            let taken = out.send(&BLOCK[..n])?;
            left -= taken as u64;
            if taken == 0 {
                break;
            }
        }
        link.turn().await;
    }
}

// ------------------------------------------------------------------------ which connection

/// Makes a request, and once more where the verdict allows it: on a new connection (S5.2).
async fn fetch(pool: &Pool, options: &Options, retries: &AtomicU64) -> Outcome<(u16, u64)> {
    let mut link = pool.checkout().await?;
    let mut expect = options.expect;
    for first in [true, false] {
        match exchange(&mut link, options, expect).await? {
            Done::Whole(status, octets) => {
                pool.give_back(link);
                return Ok((status, octets));
            }
            Done::Not(why, retry) => {
                // The content here can be made again, so it never stands in the way.
                let again = first && retry.is_some_and(|retry| retry.allows(true));
                if !again {
                    let reason = retry.map_or("nothing to retry", |retry| retry.reason());
                    return Err(format!("{why} ({reason})").into());
                }
                expect &= why != "417";
                retries.fetch_add(1, Ordering::Relaxed);
                link.close();
                link = pool.connect().await?;
            }
        }
    }
    Err("failed twice".into())
}

// ------------------------------------------------------------------------ all of them

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => Arc::new(options),
        Err(error) => {
            eprintln!("tokio_client: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(options).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tokio_client: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What a task did.
#[derive(Default)]
struct Made {
    statuses: BTreeMap<u16, u64>,
    octets: u64,
    failures: Vec<String>,
}

async fn run(options: Arc<Options>) -> io::Result<bool> {
    raise_open_files();
    let started = Instant::now();
    let clock = Clock::start();
    let port = options.authority.rsplit_once(':').is_some_and(|(_, p)| p.parse::<u16>().is_ok());
    let address = format!("{}{}", options.authority, if port { "" } else { ":80" });
    let pool = Arc::new(Pool::new(address, Config::direct(), clock));
    let (next, retries) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));

    let mut tasks = JoinSet::new();
    for _ in 0..options.at_once {
        let (pool, options) = (Arc::clone(&pool), Arc::clone(&options));
        let (next, retries) = (Arc::clone(&next), Arc::clone(&retries));
        tasks.spawn(async move {
            let mut made = Made::default();
            while next.fetch_add(1, Ordering::Relaxed) < options.requests {
                match fetch(&pool, &options, &retries).await {
                    Ok((status, octets)) => {
                        *made.statuses.entry(status).or_default() += 1;
                        made.octets += octets;
                    }
                    Err(error) => made.failures.push(error.to_string()),
                }
                if !options.pause.is_zero() {
                    sleep(options.pause).await;
                }
            }
            made
        });
    }
    let mut all = Made::default();
    for made in tasks.join_all().await {
        for (status, n) in made.statuses {
            *all.statuses.entry(status).or_default() += n;
        }
        all.octets += made.octets;
        all.failures.extend(made.failures);
    }

    let mut out = io::stdout().lock();
    writeln!(out, "requests {} in {:.1} s", options.requests, started.elapsed().as_secs_f64())?;
    for (status, n) in &all.statuses {
        writeln!(out, "status {status} {n}")?;
    }
    writeln!(out, "octets {}", all.octets)?;
    let tally = pool.tally();
    writeln!(out, "connections {}", tally.made)?;
    writeln!(out, "reused {}", tally.reused)?;
    writeln!(out, "stale {}", tally.stale)?;
    writeln!(out, "retries {}", retries.load(Ordering::Relaxed))?;
    writeln!(out, "failures {}", all.failures.len())?;
    for failure in all.failures.iter().take(10) {
        writeln!(out, "failure {failure}")?;
    }
    Ok(all.failures.is_empty())
}

fn options() -> Result<Options, lexopt::Error> {
    let mut options = Options {
        authority: String::new(),
        target: String::new(),
        requests: 1,
        at_once: 1,
        pause: Duration::ZERO,
        method: String::new(),
        octets: 0,
        expect: false,
    };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Value(url) if options.authority.is_empty() => {
                let url = url.string()?;
                let split = split(&url).ok_or("only http://HOST[:PORT][/PATH][?QUERY] is known")?;
                (options.authority, options.target) = split;
            }
            Long("requests") => options.requests = arguments.value()?.parse()?,
            Long("at-once") => options.at_once = arguments.value()?.parse()?,
            Long("pause") => options.pause = Duration::from_millis(arguments.value()?.parse()?),
            Long("method") => options.method = arguments.value()?.string()?,
            Long("octets") => options.octets = arguments.value()?.parse()?,
            Long("expect") => options.expect = true,
            _ => return Err(argument.unexpected()),
        }
    }
    if options.authority.is_empty() {
        return Err("no URL".into());
    }
    if options.method.is_empty() {
        options.method = if options.octets > 0 { "POST" } else { "GET" }.into();
    }
    Ok(options)
}

/// Authority and target of a URL. What else may be wrong with them, the machine says.
fn split(url: &str) -> Option<(String, String)> {
    let rest = url.strip_prefix("http://")?.split('#').next()?;
    let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if authority.is_empty() || authority.contains('@') {
        return None;
    }
    let slash = if target.starts_with('/') { "" } else { "/" };
    Some((authority.into(), format!("{slash}{target}")))
}
