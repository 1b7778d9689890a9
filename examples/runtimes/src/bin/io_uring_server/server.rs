//! The loop: wait for completions, hand them to their connections, mind the deadlines.

use crate::peer::Peer;
use crate::ring::{Done, Op, Ring};
use keepalive::server::Config;
use keepalive::{Clock, Instant};
use keepalive_runtimes::account::Account;
use keepalive_runtimes::buffers::Buffers;
use keepalive_runtimes::fields::Fields;
use keepalive_runtimes::routes::Shared;
use keepalive_runtimes::{raise_open_files, reset, seconds};
use lexopt::prelude::*;
use signal_hook::consts::{SIGINT, SIGTERM};
use slab::Slab;
use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "usage: io_uring_server [--listen ADDR] [--for SECONDS] [--head SECONDS] \
                     [--idle SECONDS] [--max-requests N]";

/// How long a connection without a request may last when draining: its first one may be on the way.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// How long to wait before another attempt to accept, when there are no more descriptors.
const RETRY: Duration = Duration::from_millis(100);

struct Options {
    listen: String,
    runs_for: Option<Duration>,
    config: Config,
}

pub(crate) fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("io_uring_server: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let ring = match Ring::new() {
        Ok(ring) => ring,
        Err(error) => {
            eprintln!("io_uring_server: io_uring is not to be had here: {error}");
            return ExitCode::from(3);
        }
    };
    match run(ring, &options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("io_uring_server: {}: {error}", options.listen);
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

fn run(ring: Ring, options: &Options) -> io::Result<()> {
    raise_open_files();
    let listener = TcpListener::bind(&options.listen)?;
    writeln!(io::stdout(), "listening on {}", listener.local_addr()?)?;
    let mut server = Server::new(ring, listener, options)?;
    let mut done = Vec::new();
    while !server.is_done() {
        if let Err(error) = server.step(&mut done) {
            // The kernel may still read from the buffers of those that it sends for.
            std::mem::forget(server);
            return Err(error);
        }
    }
    server.shared.account.moment("end");
    write!(io::stdout(), "{}", server.shared.account)
}

struct Server {
    clock: Clock,
    config: Config,
    ring: Ring,
    listener: TcpListener,
    /// Gets a byte at each signal. It is not read, only waited for.
    _signal: UnixStream,
    peers: Slab<Peer>,
    /// One entry for each connection that has a deadline, as in `epoll_server`.
    timers: BTreeSet<(Instant, usize)>,
    shared: Shared,
    ends: Option<Instant>,
    /// When to retire those connections, too, that are draining without ever having been used.
    draining: Option<Instant>,
    /// When to try to accept once more.
    retry: Option<Instant>,
}

impl Server {
    fn new(mut ring: Ring, listener: TcpListener, options: &Options) -> io::Result<Self> {
        let clock = Clock::start();
        let config = options.config;
        let (signal, sender) = UnixStream::pair()?;
        for number in [SIGTERM, SIGINT] {
            signal_hook::low_level::pipe::register(number, sender.try_clone()?)?;
        }
        ring.accept(&listener)?;
        ring.watch(&signal)?;
        Ok(Self {
            clock,
            config,
            ring,
            listener,
            _signal: signal,
            peers: Slab::new(),
            timers: BTreeSet::new(),
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
    fn step(&mut self, done: &mut Vec<Done>) -> io::Result<()> {
        let wait = self.wait();
        self.ring.wait(wait)?;
        let now = self.clock.now();
        self.shared.fields.tick(now);
        self.ring.completed(done);
        for done in done.drain(..) {
            self.complete(now, &done)?;
        }
        self.expire(now)
    }

    fn wait(&self) -> Option<Duration> {
        let first = self.timers.first().map(|(at, _)| *at);
        let ends = self.ends.filter(|_| self.draining.is_none());
        let due = [first, ends, self.draining, self.retry].into_iter().flatten().min()?;
        Some(due.since(self.clock.now()))
    }

    fn complete(&mut self, now: Instant, done: &Done) -> io::Result<()> {
        let result = usize::try_from(done.result).map_err(|_| -done.result);
        match done.op {
            Op::Accept => self.accepted(now, done)?,
            Op::Signal => self.drain(now)?,
            Op::Recv(key) => {
                let Self { ring, peers, shared, .. } = self;
                if let Some(peer) = peers.get_mut(key) {
                    let bytes = result.map(|n| match done.buffer {
                        Some(buffer) => ring.received(buffer, n),
                        None => &[],
                    });
                    peer.received(now, bytes, shared);
                }
                if let Some(buffer) = done.buffer {
                    self.ring.give_back(buffer)?;
                }
                self.turn(now, key)?;
            }
            Op::Send(key) => {
                if let Some(peer) = self.peers.get_mut(key) {
                    peer.sent(now, result, &mut self.ring, &mut self.shared)?;
                }
                self.turn(now, key)?;
            }
            Op::Other => {}
        }
        Ok(())
    }

    fn accepted(&mut self, now: Instant, done: &Done) -> io::Result<()> {
        if done.result >= 0 {
            // SAFETY: the kernel has just made this descriptor for us, and nobody else has it.
            #[allow(unsafe_code)]
            let sock = unsafe { OwnedFd::from_raw_fd(done.result) };
            // Output leaves in large pieces: Nagle's algorithm could only delay the last one.
            let _ = socket2::SockRef::from(&sock).set_tcp_nodelay(true);
            self.shared.account.connections += 1;
            let entry = self.peers.vacant_entry();
            let key = entry.key();
            entry.insert(Peer::new(key, sock, &self.config, now));
            self.turn(now, key)?;
            // It came behind the drain's first look at the connections.
            if self.draining == Some(Instant::from_micros(u64::MAX)) {
                self.retire(now, true)?;
            }
        } else if self.draining.is_none() {
            self.shared.account.refused += 1;
        }
        if !done.more && self.draining.is_none() {
            // Out of descriptors, most likely.
            self.retry = Some(now + RETRY);
        }
        Ok(())
    }

    /// Lets a connection do what it can, and looks what has become of it.
    fn turn(&mut self, now: Instant, key: usize) -> io::Result<()> {
        let Some(peer) = self.peers.get_mut(key) else { return Ok(()) };
        peer.turn(now, &mut self.ring, &mut self.shared)?;
        if let Some((why, abort)) = peer.over() {
            let peer = self.peers.remove(key);
            if let Some(at) = peer.armed {
                self.timers.remove(&(at, key));
            }
            self.shared.account.closed(why);
            let sock = peer.into_socket();
            if abort {
                reset(sock)
            } else {
                drop(sock)
            }
            return Ok(());
        }
        // Only for an earlier deadline: a later one is found when the timer fires.
        if let Some(at) = peer.deadline()
            && peer.armed.is_none_or(|armed| at < armed)
        {
            if let Some(armed) = peer.armed.replace(at) {
                self.timers.remove(&(armed, key));
            }
            self.timers.insert((at, key));
        }
        Ok(())
    }

    /// Everything that is due.
    fn expire(&mut self, now: Instant) -> io::Result<()> {
        while let Some(&(at, key)) = self.timers.first()
            && at <= now
        {
            self.timers.pop_first();
            if let Some(peer) = self.peers.get_mut(key) {
                peer.armed = None;
                peer.expire(now);
                self.turn(now, key)?;
            }
        }
        if self.retry.is_some_and(|at| at <= now) {
            self.retry = None;
            if self.draining.is_none() {
                self.ring.accept(&self.listener)?;
            }
        }
        if self.ends.is_some_and(|at| at <= now) {
            self.drain(now)?;
        }
        if self.draining.is_some_and(|at| at <= now) {
            self.draining = Some(Instant::from_micros(u64::MAX));
            self.retire(now, true)?;
        }
        Ok(())
    }

    /// Accepts no more, and lets every connection end where nobody is hurt.
    fn drain(&mut self, now: Instant) -> io::Result<()> {
        if self.draining.is_none() {
            self.shared.account.moment("loaded");
            self.draining = Some(now + FIRST_REQUEST);
            self.shared.draining = true;
            self.ring.cancel(Op::Accept)?;
            self.retire(now, false)?;
        }
        Ok(())
    }

    fn retire(&mut self, now: Instant, new_ones_too: bool) -> io::Result<()> {
        let keys: Vec<usize> = self.peers.iter().map(|(key, _)| key).collect();
        for key in keys {
            if let Some(peer) = self.peers.get_mut(key) {
                peer.retire(now, new_ones_too);
                self.turn(now, key)?;
            }
        }
        Ok(())
    }
}
