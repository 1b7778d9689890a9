//! A reverse proxy on tokio, persistent on both sides:
//!
//! ```sh
//! cargo run --release --manifest-path examples/runtimes/Cargo.toml --bin relay -- --listen 127.0.0.1:8081 --upstream 127.0.0.1:8080
//! ```
//!
//! with a server on port 8080, then `wrk -c 64 http://127.0.0.1:8081/`. SIGTERM or SIGINT drains it;
//! then it tells what it did.
//!
//! Content is streamed both ways and never collected; upgrades are tunnelled; connections to the server
//! behind are used again, through a pool that looks before it does; what fails is tried once more
//! where the machine says that this is safe.
//!
//! [`serve`] is the part to read first: the waiting. What is done between two waits is in `join.rs`.

mod join;

use join::{Join, Need};
use keepalive::forward::Hop;
use keepalive::{Clock, CloseReason, Retire, buffered, client, server};
use keepalive_runtimes::account::Account;
use keepalive_runtimes::link::{Ended, Link};
use keepalive_runtimes::pool::{Pool, Upstream};
use keepalive_runtimes::{raise_open_files, seconds};
use lexopt::prelude::*;
use std::future::pending;
use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

const USAGE: &str = "usage: relay --upstream HOST:PORT [--listen ADDR] [--for SECONDS] \
                     [--name PSEUDONYM] [--max-requests N]";

/// How long a connection without a request may last when draining: its first one may be on the way.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// How long tunnels may go on when draining: no machine watches over them.
const TUNNELS: Duration = Duration::from_secs(31);

/// How long a server may take to begin its response.
const PATIENCE: Duration = Duration::from_secs(60);

struct Options {
    listen: String,
    upstream: String,
    /// Our name in Via.
    name: String,
    runs_for: Option<Duration>,
    config: server::Config,
}

/// What all connections share.
struct Relay {
    clock: Clock,
    name: String,
    config: server::Config,
    pool: Pool,
    account: Mutex<(Account, join::Counts)>,
}

impl Relay {
    fn note(&self, note: impl FnOnce(&mut Account, &mut join::Counts)) {
        let mut both = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        let (account, counts) = &mut *both;
        note(account, counts);
    }
}

/// Which connections are to be retired.
#[derive(Clone, Copy, PartialEq)]
enum Drain {
    None,
    Used,
    All,
}

// ------------------------------------------------------------------------ one client

async fn serve(sock: TcpStream, relay: Arc<Relay>, drain: watch::Receiver<Drain>) {
    let http = buffered::Server::allocate(&relay.config, relay.clock.now());
    let why = match Link::new(sock, http, relay.clock) {
        Ok(down) => relayed(down, &relay, drain).await,
        Err(_) => CloseReason::TransportLost,
    };
    relay.note(|account, _| account.closed(why));
}

/// A client's connection from its first byte to its close.
async fn relayed(
    down: join::Downstream,
    relay: &Relay,
    mut drain: watch::Receiver<Drain>,
) -> CloseReason {
    // A pseudonym that is none was refused at the start.
    let Some(hop) = Hop::to_origin(&relay.name) else { return CloseReason::Aborted };
    let mut join = Join::new(down, hop, relay.config);
    let why = loop {
        // Everything that can be done without waiting. Only a connection has to be waited for.
        while let Some(need) = join.pump(&relay.pool) {
            let connected = match need {
                Need::Any => relay.pool.checkout().await,
                Need::New => relay.pool.connect().await,
            };
            match connected {
                Ok(up) => join.connected(up),
                Err(error) => join.unconnected(error.kind() == ErrorKind::TimedOut),
            }
        }
        relay.note(|account, all| {
            let counts = std::mem::take(&mut join.counts);
            account.requests += counts.requests;
            all.add(counts);
        });
        let server_left = join.up.as_mut().map(|up| up.ended() == Some(Ended::Tunnel));
        match (join.down.ended(), server_left) {
            (Some(Ended::Close(why) | Ended::Abort(why)), _) => break why,
            // Each side leaves HTTP when it has sent all that belongs to it.
            (Some(Ended::Tunnel), Some(true)) => {
                tunnel(join).await;
                return CloseReason::Tunnel;
            }
            (Some(Ended::Tunnel), None) => return CloseReason::TransportLost,
            _ => {}
        }
        tokio::select! {
            () = join.down.turn() => {}
            () = turn(&mut join.up) => {}
            Ok(()) = drain.changed() => {
                join.draining = true;
                let new = join.down.http.connection().requests() == 0;
                if !new || *drain.borrow() == Drain::All {
                    let now = join.down.now();
                    join.down.http.out(now).retire(Retire::Drain);
                }
            }
        }
    };
    // A response that nobody waits for any more. Half of it makes the connection useless.
    if let Some(mut up) = join.up {
        let now = up.now();
        up.http.out(now).abort();
        up.close();
    }
    join.down.close();
    why
}

async fn turn(up: &mut Option<Upstream>) {
    match up {
        Some(up) => up.turn().await,
        None => pending().await,
    }
}

/// Both sides have left HTTP. What was read already goes first; then bytes are bytes.
async fn tunnel(join: Join<'_>) {
    let Join { down, up: Some(up), .. } = join else { return };
    let (mut client, mut server) = (down.sock, up.sock);
    let first = async {
        server.write_all(down.http.unread()).await?;
        client.write_all(up.http.unread()).await
    };
    if first.await.is_ok() {
        // An error here is the end of the tunnel, and that is all there is to say about it.
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}

// ------------------------------------------------------------------------ all clients

fn options() -> Result<Options, lexopt::Error> {
    let mut options = Options {
        listen: "127.0.0.1:8081".into(),
        upstream: String::new(),
        name: "relay".into(),
        runs_for: None,
        config: server::Config::origin(),
    };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("listen") => options.listen = arguments.value()?.parse()?,
            Long("upstream") => options.upstream = arguments.value()?.parse()?,
            Long("name") => options.name = arguments.value()?.parse()?,
            Long("for") => options.runs_for = Some(arguments.value()?.parse_with(seconds)?),
            Long("max-requests") => {
                options.config = options.config.max_requests(arguments.value()?.parse()?);
            }
            _ => return Err(argument.unexpected()),
        }
    }
    if options.upstream.is_empty() {
        return Err("no --upstream".into());
    }
    if Hop::to_origin(&options.name).is_none() {
        return Err("--name is neither a token nor a host".into());
    }
    Ok(options)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("relay: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("relay: {}: {error}", options.listen);
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> io::Result<()> {
    raise_open_files();
    let listener = TcpListener::bind(&options.listen).await?;
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    writeln!(io::stdout(), "listening on {}", listener.local_addr()?)?;
    let clock = Clock::start();
    // Other people's requests: the verdicts on retries are stricter (S5.3).
    let client = client::Config::direct().gateway(true).head_wait(PATIENCE);
    let relay = Arc::new(Relay {
        clock,
        name: options.name.clone(),
        config: options.config,
        pool: Pool::new(options.upstream.clone(), client, clock),
        account: Mutex::new((Account::open(), join::Counts::default())),
    });
    let (drain, draining) = watch::channel(Drain::None);
    let mut clients = JoinSet::new();
    let mut tick = interval(Duration::from_secs(1));
    let ends = async {
        match options.runs_for {
            Some(after) => sleep(after).await,
            None => pending().await,
        }
    };
    tokio::pin!(ends);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((sock, _)) => {
                    relay.note(|account, _| account.connections += 1);
                    clients.spawn(serve(sock, Arc::clone(&relay), draining.clone()));
                }
                Err(_) => {
                    // One that is gone already; or no descriptor is free.
                    relay.note(|account, _| account.refused += 1);
                    sleep(Duration::from_millis(100)).await;
                }
            },
            _ = tick.tick() => relay.pool.sweep(),
            // What is over is forgotten.
            Some(_) = clients.join_next() => {}
            _ = term.recv() => break,
            _ = int.recv() => break,
            () = &mut ends => break,
        }
    }
    drop(listener);
    relay.note(|account, _| account.moment("loaded"));
    finish(clients, &drain).await;
    relay.note(|account, _| account.moment("end"));
    report(&relay)
}

/// Lets every connection end where nobody is hurt. Each machine has a hard stop.
async fn finish(mut clients: JoinSet<()>, drain: &watch::Sender<Drain>) {
    let _ = drain.send(Drain::Used);
    let all = async { while clients.join_next().await.is_some() {} };
    tokio::pin!(all);
    tokio::select! {
        () = &mut all => return,
        () = sleep(FIRST_REQUEST) => {}
    }
    let _ = drain.send(Drain::All);
    tokio::select! {
        () = &mut all => {}
        () = sleep(TUNNELS) => {}
    }
}

fn report(relay: &Relay) -> io::Result<()> {
    let both = relay.account.lock().unwrap_or_else(PoisonError::into_inner);
    let (account, counts) = &*both;
    let tally = relay.pool.tally();
    let mut out = io::stdout().lock();
    write!(out, "{account}")?;
    writeln!(out, "upstream connections {}", tally.made)?;
    writeln!(out, "upstream reused {}", tally.reused)?;
    writeln!(out, "upstream stale {}", tally.stale)?;
    writeln!(out, "retries {}", counts.retries)?;
    writeln!(out, "own responses {}", counts.own)?;
    writeln!(out, "broken responses {}", counts.broken)
}
