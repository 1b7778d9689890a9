//! A server on epoll (through mio), one thread, thousands of connections:
//!
//! ```sh
//! cargo run --release --manifest-path examples/runtimes/Cargo.toml --bin epoll_server -- --listen 127.0.0.1:8080
//! ```
//!
//! then `curl http://127.0.0.1:8080/`, `wrk -c 1000 http://127.0.0.1:8080/`. SIGTERM or SIGINT drains
//! it, `--for SECONDS` does so by itself; then it tells what it did, and why it closed what it closed.
//!
//! Three files: here the loop that waits, in `peer.rs` what one connection does ([`Peer::turn`]: read
//! that first), in `src/routes.rs` the application and what is said to whom.
//!
//! What makes it fast: sockets are registered once and edge-triggered; a read that did not fill its
//! buffer is the last one; pipelined requests are answered into one buffer that leaves in one write;
//! buffers are shared, so an exchange allocates nothing; and a deadline that moves to a later moment,
//! as it does with every request, costs no timer anything.

mod peer;

use keepalive::server::Config;
use keepalive::{Clock, Instant};
use keepalive_runtimes::account::Account;
use keepalive_runtimes::buffers::Buffers;
use keepalive_runtimes::fields::Fields;
use keepalive_runtimes::routes::Shared;
use keepalive_runtimes::{raise_open_files, reset, seconds};
use lexopt::prelude::*;
use mio::net::{TcpListener, UnixStream};
use mio::{Events, Interest, Poll, Token};
use peer::{Fate, Peer};
use signal_hook::consts::{SIGINT, SIGTERM};
use slab::Slab;
use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "usage: epoll_server [--listen ADDR] [--for SECONDS] [--head SECONDS] \
                     [--idle SECONDS] [--max-requests N]";

const LISTENER: Token = Token(usize::MAX);
const SIGNAL: Token = Token(usize::MAX - 1);

/// How long a connection without a request may last when draining: its first one may be on the way.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// How long to wait before another attempt to accept, when there are no more descriptors.
const RETRY: Duration = Duration::from_millis(100);

struct Options {
    listen: String,
    /// When to drain without being told to.
    runs_for: Option<Duration>,
    config: Config,
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("epoll_server: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("epoll_server: {}: {error}", options.listen);
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options, lexopt::Error> {
    let mut options =
        Options { listen: "127.0.0.1:8080".into(), runs_for: None, config: Config::origin() };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        let config = options.config;
        match argument {
            Long("listen") => options.listen = arguments.value()?.parse()?,
            Long("for") => options.runs_for = Some(arguments.value()?.parse_with(seconds)?),
            Long("head") => options.config = config.head(arguments.value()?.parse_with(seconds)?),
            Long("idle") => options.config = config.idle(arguments.value()?.parse_with(seconds)?),
            Long("max-requests") => {
                options.config = config.max_requests(arguments.value()?.parse()?);
            }
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(options)
}

fn run(options: &Options) -> io::Result<()> {
    raise_open_files();
    let address = options.listen.parse().map_err(|e| io::Error::new(ErrorKind::InvalidInput, e))?;
    let mut server = Server::bind(address, options)?;
    writeln!(io::stdout(), "listening on {}", server.listener.local_addr()?)?;
    let mut events = Events::with_capacity(1024);
    while !server.is_done() {
        server.step(&mut events)?;
    }
    server.shared.account.moment("end");
    write!(io::stdout(), "{}", server.shared.account)
}

/// The loop that waits, and everything that it waits for.
struct Server {
    clock: Clock,
    config: Config,
    poll: Poll,
    listener: TcpListener,
    /// Gets a byte at each signal. It is not read, only waited for.
    _signal: UnixStream,
    peers: Slab<Peer>,
    /// One entry for each connection that has a deadline: to find those that are due costs nothing for
    /// those that are not.
    timers: BTreeSet<(Instant, usize)>,
    /// Connections that have more to do than one turn allows.
    again: Vec<usize>,
    shared: Shared,
    /// When to drain, if not told before.
    ends: Option<Instant>,
    /// When to retire those connections, too, that are draining without ever having been used.
    draining: Option<Instant>,
    /// When to try to accept once more.
    retry: Option<Instant>,
}

impl Server {
    fn bind(address: std::net::SocketAddr, options: &Options) -> io::Result<Self> {
        let clock = Clock::start();
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind(address)?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let (mut signal, sender) = UnixStream::pair()?;
        poll.registry().register(&mut signal, SIGNAL, Interest::READABLE)?;
        for number in [SIGTERM, SIGINT] {
            let sender = std::os::fd::AsFd::as_fd(&sender).try_clone_to_owned()?;
            signal_hook::low_level::pipe::register(number, sender)?;
        }
        let config = options.config;
        Ok(Self {
            clock,
            config,
            poll,
            listener,
            _signal: signal,
            peers: Slab::new(),
            timers: BTreeSet::new(),
            again: Vec::new(),
            shared: Shared {
                account: Account::open(),
                fields: Fields::new(),
                rx: Buffers::new(config.receive_buffer(), 256),
                tx: Buffers::new(64 * 1024, 256),
                draining: false,
            },
            ends: options.runs_for.map(|after| clock.now() + after),
            draining: None,
            retry: None,
        })
    }

    fn is_done(&self) -> bool {
        self.draining.is_some() && self.peers.is_empty()
    }

    /// Waits once, and serves all that has come of it.
    fn step(&mut self, events: &mut Events) -> io::Result<()> {
        let wait = self.wait();
        match self.poll.poll(events, wait) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        // One look at the clock for all that happened until now.
        let now = self.clock.now();
        self.shared.fields.tick(now);
        for event in events.iter() {
            match event.token() {
                LISTENER => self.accept(now),
                SIGNAL => self.drain(now),
                Token(key) => {
                    if let Some(peer) = self.peers.get_mut(key) {
                        let hung_up = event.is_read_closed() || event.is_error();
                        peer.ready(event.is_readable(), event.is_writable(), hung_up);
                        self.turn(now, key);
                    }
                }
            }
        }
        for key in std::mem::take(&mut self.again) {
            self.turn(now, key);
        }
        self.expire(now);
        Ok(())
    }

    fn wait(&self) -> Option<Duration> {
        if !self.again.is_empty() {
            return Some(Duration::ZERO);
        }
        let first = self.timers.first().map(|(at, _)| *at);
        let ends = self.ends.filter(|_| self.draining.is_none());
        let due = [first, ends, self.draining, self.retry].into_iter().flatten().min()?;
        Some(due.since(self.clock.now()))
    }

    fn accept(&mut self, now: Instant) {
        self.retry = None;
        while self.draining.is_none() {
            let mut sock = match self.listener.accept() {
                Ok((sock, _)) => sock,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => {
                    // One that is gone already; or no descriptor is free, and then there is no further
                    // event for those that wait.
                    self.shared.account.refused += 1;
                    self.retry = Some(now + RETRY);
                    return;
                }
            };
            let entry = self.peers.vacant_entry();
            let both = Interest::READABLE | Interest::WRITABLE;
            // Output leaves in large pieces: Nagle's algorithm could only delay the last one.
            let ready = sock
                .set_nodelay(true)
                .and_then(|()| self.poll.registry().register(&mut sock, Token(entry.key()), both));
            if ready.is_err() {
                self.shared.account.refused += 1;
                continue;
            }
            self.shared.account.connections += 1;
            let key = entry.key();
            entry.insert(Peer::new(sock, &self.config, now));
            self.arm(key);
        }
    }

    /// Lets a connection do what it can, and looks what has become of it.
    fn turn(&mut self, now: Instant, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        match peer.turn(now, &mut self.shared) {
            Fate::Keep => self.arm(key),
            Fate::Again => {
                self.again.push(key);
                self.arm(key);
            }
            Fate::Gone { why, abort } => {
                let peer = self.peers.remove(key);
                if let Some(at) = peer.armed {
                    self.timers.remove(&(at, key));
                }
                self.shared.account.closed(why);
                // Closing takes a socket out of the selector.
                let sock = peer.into_socket();
                if abort { reset(sock) } else { drop(sock) }
            }
        }
    }

    /// Arms the timer of a connection if its deadline has come nearer. One that has moved on is left
    /// alone: when the timer fires nothing is due, and it is armed for the later moment then.
    fn arm(&mut self, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let Some(at) = peer.deadline() else { return };
        match peer.armed {
            Some(armed) if armed <= at => return,
            Some(armed) => {
                self.timers.remove(&(armed, key));
            }
            None => {}
        }
        peer.armed = Some(at);
        self.timers.insert((at, key));
    }

    /// Everything that is due.
    fn expire(&mut self, now: Instant) {
        while let Some(&(at, key)) = self.timers.first()
            && at <= now
        {
            self.timers.pop_first();
            if let Some(peer) = self.peers.get_mut(key) {
                peer.armed = None;
                peer.expire(now);
                self.turn(now, key);
            }
        }
        if self.retry.is_some_and(|at| at <= now) {
            self.accept(now);
        }
        if self.ends.is_some_and(|at| at <= now) {
            self.drain(now);
        }
        if self.draining.is_some_and(|at| at <= now) {
            self.draining = Some(Instant::from_micros(u64::MAX));
            self.retire(now, true);
        }
    }

    /// Accepts no more, and lets every connection end where nobody is hurt.
    fn drain(&mut self, now: Instant) {
        if self.draining.is_none() {
            self.accept(now);
            self.shared.account.moment("loaded");
            self.draining = Some(now + FIRST_REQUEST);
            self.shared.draining = true;
            let _ = self.poll.registry().deregister(&mut self.listener);
            self.retire(now, false);
        }
    }

    fn retire(&mut self, now: Instant, new_ones_too: bool) {
        let keys: Vec<usize> = self.peers.iter().map(|(key, _)| key).collect();
        for key in keys {
            if let Some(peer) = self.peers.get_mut(key) {
                peer.retire(now, new_ones_too);
                self.turn(now, key);
            }
        }
    }
}
