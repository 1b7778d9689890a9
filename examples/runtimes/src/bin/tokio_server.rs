//! A server on tokio, one task a connection:
//!
//! ```sh
//! cargo run --release --manifest-path examples/runtimes/Cargo.toml --bin tokio_server -- --listen 127.0.0.1:8080
//! ```
//!
//! then `curl http://127.0.0.1:8080/`, `curl http://127.0.0.1:8080/after/500`. SIGTERM or SIGINT drains
//! it; then it tells what it did.
//!
//! [`serve`] is the part to read first: the loop of the README with `select!` in the place of a read
//! that blocks. What is new is an application that takes its time: its answer comes when no event
//! does, and while it is awaited the connection goes on living.

use keepalive::buffered::{Server, ServerOut};
use keepalive::server::{Config, Event};
use keepalive::{Clock, CloseReason, Content, NO_FIELDS, Plan, RequestHead, Retire, SendError};
use keepalive_runtimes::account::Account;
use keepalive_runtimes::link::{Ended, Link};
use keepalive_runtimes::{raise_open_files, seconds};
use lexopt::prelude::*;
use std::future::pending;
use std::io::{self, Write as _};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

const USAGE: &str = "usage: tokio_server [--listen ADDR] [--for SECONDS] [--idle SECONDS]";

/// How long a connection without a request may last when draining: its first one may be on the way.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// What all connections share.
struct Shared {
    clock: Clock,
    config: Config,
    account: Mutex<Account>,
}

impl Shared {
    fn note(&self, note: impl FnOnce(&mut Account)) {
        note(&mut self.account.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Which connections are to be retired.
#[derive(Clone, Copy, PartialEq)]
enum Drain {
    None,
    Used,
    All,
}

// ------------------------------------------------------------------------ one connection

/// A connection from its first byte to its close.
async fn serve(sock: TcpStream, shared: Arc<Shared>, mut drain: watch::Receiver<Drain>) {
    let clock = shared.clock;
    let http = Server::allocate(&shared.config, clock.now());
    let mut link = match Link::new(sock, http, clock) {
        Ok(link) => link,
        Err(_) => return shared.note(|account| account.closed(CloseReason::TransportLost)),
    };
    let mut task = Task::Nothing;
    let why = loop {
        // What the bytes at hand mean, and what is said to it, until there is no more of either.
        loop {
            let room = task.room(&link.http);
            let (event, mut out) = link.http.next(clock.now(), room);
            let Some(event) = event else { break };
            if let Event::Request(_) = event {
                shared.note(|account| account.requests += 1);
                if *drain.borrow() != Drain::None {
                    out.retire(Retire::Drain);
                }
            }
            if let Event::Failed(failure) = event {
                shared.note(|account| account.failed(&failure));
            }
            // A refused call is a mistake of this program.
            if task.handle(event, &mut out).is_err() {
                out.abort();
            }
        }
        if task.go_on(&mut link.http.out(clock.now())).is_err() {
            link.http.out(clock.now()).abort();
        }
        match link.ended() {
            Some(Ended::Close(why) | Ended::Abort(why)) => break why,
            // No route of this server leads there.
            Some(Ended::Tunnel) => break CloseReason::Tunnel,
            None => {}
        }
        tokio::select! {
            () = link.turn() => {}
            answer = task.answer() => {
                task = Task::Nothing;
                // If the client is gone in the meantime, the machine does not want it any more.
                let mut out = link.http.out(clock.now());
                if out.wants().head && out.reply(200, [TEXT], answer.as_bytes()).is_err() {
                    out.abort();
                }
            }
            Ok(()) = drain.changed() => {
                let new = link.http.connection().requests() == 0;
                if !new || *drain.borrow() == Drain::All {
                    link.http.out(clock.now()).retire(Retire::Drain);
                }
            }
        }
    };
    link.close();
    shared.note(|account| account.closed(why));
}

// ------------------------------------------------------------------------ the application

type Out<'a> = ServerOut<'a, Vec<u8>>;

const TEXT: (&str, &str) = ("Content-Type", "text/plain");
const BINARY: (&str, &str) = ("Content-Type", "application/octet-stream");

/// What `/bytes/N` consists of.
static BLOCK: [u8; 16 * 1024] = [b'k'; 16 * 1024];

/// What a request still needs.
enum Task {
    Nothing,
    /// An answer that is being worked on.
    Wait(Pin<Box<dyn Future<Output = String> + Send>>),
    /// So many octets of content.
    Send(u64),
    /// All content that comes is sent back.
    Echo,
}

impl Task {
    /// How much content it can take now. An echo takes what it can send on; nobody else asks for any.
    fn room(&self, http: &Server<Vec<u8>>) -> usize {
        if let Self::Echo = self { http.room() } else { usize::MAX }
    }

    fn handle(&mut self, event: Event<'_>, out: &mut Out<'_>) -> Result<(), SendError> {
        match event {
            Event::Request(head) => *self = Self::begin(&head, out)?,
            Event::Content(content) => {
                out.send(content)?;
            }
            Event::End(_) => {
                if let Self::Echo = self {
                    *self = Self::Nothing;
                    out.finish(NO_FIELDS)?;
                }
            }
            Event::Failed(_) => {
                // An echo of half a request cannot be completed.
                if let Self::Echo = self {
                    out.abort();
                }
                *self = Self::Nothing;
            }
        }
        Ok(())
    }

    fn begin(head: &RequestHead<'_>, out: &mut Out<'_>) -> Result<Self, SendError> {
        let date = httpdate::fmt_http_date(std::time::SystemTime::now());
        let date = ("Date", date.as_str());
        let path = str::from_utf8(head.target()).unwrap_or("?");
        let number = |prefix| path.strip_prefix(prefix).and_then(|n| n.parse::<u64>().ok());
        if path == "/" {
            out.reply(200, [TEXT, date], b"Hello, World!")?;
        } else if path == "/echo" {
            // In this order: a response to content that nobody asked for leaves it unread.
            out.read_content();
            out.respond(200, [BINARY, date], head.outbound())?;
            return Ok(Self::Echo);
        } else if let Some(n) = number("/bytes/") {
            if out.respond(200, [BINARY, date], Content::Length(n))? != Plan::None {
                return Ok(Self::Send(n));
            }
        } else if let Some(ms) = number("/after/") {
            // The head is not there any more when the answer comes: it takes along what it needs.
            let method = head.method().to_owned();
            return Ok(Self::Wait(Box::pin(async move {
                sleep(Duration::from_millis(ms.min(60_000))).await;
                format!("{method}, after {ms} ms\n")
            })));
        } else {
            out.reply(404, [TEXT, date], b"Not here.\n")?;
        }
        Ok(Self::Nothing)
    }

    /// Sends as much as there is room for; the loop comes back when there is more.
    fn go_on(&mut self, out: &mut Out<'_>) -> Result<(), SendError> {
        let Self::Send(left) = self else { return Ok(()) };
        while *left > 0 && out.wants().content {
            let n = usize::try_from(*left).unwrap_or(usize::MAX).min(BLOCK.len());
            let taken = out.send(&BLOCK[..n])?;
            if taken == 0 {
                return Ok(());
            }
            *left -= taken as u64;
        }
        *self = Self::Nothing;
        Ok(())
    }

    /// The answer, when there is one; else it waits for ever.
    async fn answer(&mut self) -> String {
        match self {
            Self::Wait(future) => future.await,
            _ => pending().await,
        }
    }
}

// ------------------------------------------------------------------------ all connections

struct Options {
    listen: String,
    runs_for: Option<Duration>,
    config: Config,
}

fn options() -> Result<Options, lexopt::Error> {
    let mut options =
        Options { listen: "127.0.0.1:8080".into(), runs_for: None, config: Config::origin() };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("listen") => options.listen = arguments.value()?.parse()?,
            Long("for") => options.runs_for = Some(arguments.value()?.parse_with(seconds)?),
            Long("idle") => {
                let idle = arguments.value()?.parse_with(seconds)?;
                options.config = options.config.idle(idle);
            }
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(options)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("tokio_server: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tokio_server: {}: {error}", options.listen);
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> io::Result<()> {
    raise_open_files();
    let listener = TcpListener::bind(&options.listen).await?;
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    writeln!(io::stdout(), "listening on {}", listener.local_addr()?)?;
    let shared = Arc::new(Shared {
        clock: Clock::start(),
        config: options.config,
        account: Mutex::new(Account::open()),
    });
    let (drain, draining) = watch::channel(Drain::None);
    let mut connections = JoinSet::new();
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
                    shared.note(|account| account.connections += 1);
                    connections.spawn(serve(sock, Arc::clone(&shared), draining.clone()));
                }
                Err(_) => {
                    // One that is gone already; or no descriptor is free.
                    shared.note(|account| account.refused += 1);
                    sleep(Duration::from_millis(100)).await;
                }
            },
            // What is over is forgotten.
            Some(_) = connections.join_next() => {}
            _ = term.recv() => break,
            _ = int.recv() => break,
            () = &mut ends => break,
        }
    }
    // Accept no more, and let every connection end where nobody is hurt. Each machine has a hard stop.
    drop(listener);
    shared.note(|account| account.moment("loaded"));
    let _ = drain.send(Drain::Used);
    let all = async { while connections.join_next().await.is_some() {} };
    tokio::pin!(all);
    tokio::select! {
        () = &mut all => {}
        () = sleep(FIRST_REQUEST) => {
            let _ = drain.send(Drain::All);
            all.await;
        }
    }
    shared.note(|account| account.moment("end"));
    let account = shared.account.lock().unwrap_or_else(PoisonError::into_inner);
    write!(io::stdout(), "{account}")
}
