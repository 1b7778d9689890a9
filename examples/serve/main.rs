//! A server on `std::net`, one thread a connection: `cargo run --release --example serve`.
//!
//! [`drive`] is the part to read first: a whole HTTP/1.x connection, from its first byte to its
//! close. `--trace` shows it at work. The application is in `routes.rs`.

mod routes;
mod socket;
mod trace;

use keepalive::buffered::Server;
use keepalive::server::{Config, Event};
use keepalive::{Clock, Deadline, End, Io, Retire, SendError};
use lexopt::prelude::*;
use socket::{Socket, TURN};
use std::io::{self, ErrorKind, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use trace::Trace;

const USAGE: &str = "usage: serve [--listen ADDR] [--idle SECONDS] [--head SECONDS] \
                     [--max-requests N] [--drain-after SECONDS] [--trace]";

/// How often a connection that waits looks whether it is to be drained.
const TICK: Duration = Duration::from_millis(100);

/// How long a connection without a request may last when draining: its first one may be on the way.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// When the process ends all the same: a second after each machine's own hard stop.
const DRAINED: Duration = Duration::from_secs(31);

#[derive(Clone)]
struct Options {
    listen: String,
    /// How long a connection is kept without a request.
    idle: Duration,
    /// How long the head of a request may take.
    head: Duration,
    /// Requests on one connection; 0 for no limit.
    max_requests: u32,
    /// When to stop accepting, serve what is there, and end.
    drain_after: Option<Duration>,
    trace: bool,
}

/// What all connections have in common. Each holds a reference: so their number is known.
struct Shared {
    /// Each machine keeps a copy of it.
    config: Config,
    clock: Clock,
    idle: Duration,
    /// Whether there will ever be a drain to look for.
    drains: bool,
    draining: AtomicBool,
}

impl Shared {
    fn is_draining(&self) -> bool {
        self.drains && self.draining.load(Ordering::Relaxed)
    }

    fn wait(&self, deadline: Option<Deadline>) -> Option<Duration> {
        let wait = self.clock.until(deadline);
        if self.drains { Some(wait.map_or(TICK, |wait| wait.min(TICK))) } else { wait }
    }
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("serve: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match accept(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("serve: {}: {error}", options.listen);
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options, lexopt::Error> {
    let mut options = Options {
        listen: "127.0.0.1:8080".into(),
        idle: Duration::from_secs(75),
        head: Duration::from_secs(30),
        max_requests: 0,
        drain_after: None,
        trace: false,
    };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("listen") => options.listen = arguments.value()?.parse()?,
            Long("idle") => options.idle = arguments.value()?.parse_with(seconds)?,
            Long("head") => options.head = arguments.value()?.parse_with(seconds)?,
            Long("max-requests") => options.max_requests = arguments.value()?.parse()?,
            Long("drain-after") => {
                options.drain_after = Some(arguments.value()?.parse_with(seconds)?);
            }
            Long("trace") => options.trace = true,
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(options)
}

/// Seconds, with a fraction or without.
fn seconds(text: &str) -> Result<Duration, &'static str> {
    let number: f64 = text.parse().map_err(|_| "not a number")?;
    Duration::try_from_secs_f64(number).map_err(|_| "not a time")
}

fn accept(options: &Options) -> io::Result<()> {
    let listener = TcpListener::bind(&options.listen)?;
    writeln!(io::stdout(), "listening on {}", listener.local_addr()?)?;

    let config = Config::origin().idle(options.idle).head(options.head);
    let shared = Arc::new(Shared {
        config: config.max_requests(options.max_requests),
        clock: Clock::start(),
        idle: options.idle,
        drains: options.drain_after.is_some(),
        draining: AtomicBool::new(false),
    });
    if let Some(after) = options.drain_after {
        let (address, shared) = (listener.local_addr()?, Arc::clone(&shared));
        thread::Builder::new().spawn(move || {
            thread::sleep(after);
            shared.draining.store(true, Ordering::Relaxed);
            // `accept` below has no time-out: it is woken by a connection, of no further use.
            drop(TcpStream::connect(address));
        })?;
    }
    let mut number = 0;
    loop {
        let socket = match listener.accept().and_then(|(stream, _)| Socket::new(stream)) {
            Ok(socket) => socket,
            // Draining, and nobody waits to be accepted.
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => {
                // Out of descriptors, perhaps: let some connections end first.
                eprintln!("serve: accept: {error}");
                thread::sleep(Duration::from_millis(50));
                continue;
            }
        };
        number += 1;
        let trace = Trace::new(options.trace, number);
        let of_connection = Arc::clone(&shared);
        let serve = move || drive(socket, &of_connection, trace);
        if let Err(error) = thread::Builder::new().spawn(serve) {
            eprintln!("serve: no thread: {error}");
        }
        if shared.is_draining() {
            // Whoever connected before the listener goes would be reset with it: so the queue is
            // emptied first.
            listener.set_nonblocking(true)?;
        }
    }
    drop(listener);
    let end = shared.clock.now() + DRAINED;
    while Arc::strong_count(&shared) > 1 && shared.clock.now() < end {
        thread::sleep(TICK / 4);
    }
    Ok(())
}

/// Serves one connection. Dropping the socket closes it.
fn drive(mut socket: Socket, shared: &Shared, mut trace: Trace) {
    let clock = shared.clock;
    let accepted = clock.now();
    let mut http = Server::allocate(&shared.config, accepted);
    let mut task = routes::Task::default();
    trace.line(format_args!("accepted"));
    loop {
        // First what the bytes at hand mean, until they mean nothing more; then the deadlines that
        // are due. Content is echoed into the send buffer, so no more of it is taken than fits
        // there: that is all of back-pressure.
        let (now, draining) = (clock.now(), shared.is_draining());
        loop {
            let room = http.out(now).room();
            let (event, mut out) = http.next(now, room);
            let Some(event) = event else { break };
            show(&event, &mut trace);
            if draining {
                out.retire(Retire::Drain); // now, so that the response can say so
            }
            if let Err(error) = task.handle(&event, &mut out) {
                give_up(error, &mut out);
            }
            trace.verdict(out.persistence());
        }
        let mut out = http.out(now);
        if let Err(error) = task.go_on(&mut out) {
            give_up(error, &mut out);
        }
        // Only behind the bytes at hand: they may be a request, and an idle connection closes at
        // once. An unused one does too, so it has a moment for its first request.
        let unused = http.connection().requests() == 0;
        if draining && !(unused && now.since(accepted) < FIRST_REQUEST) {
            http.out(now).retire(Retire::Drain);
        }
        trace.verdict(http.persistence());
        trace.deadline(now, http.deadline());

        // An end is asked for when everything is written, an abort at once.
        match http.wants().end {
            None => {}
            Some(End::ShutdownWrite) => {
                // A close with bytes unread would reset the connection, and could destroy the
                // response on its way. So the machine closes by halves, and reads on for a while.
                // Should the call fail, the connection is gone, and the next read says so.
                trace.line(format_args!("shutdown"));
                let _ = socket.stream.shutdown(Shutdown::Write);
                http.write_closed(clock.now());
                continue;
            }
            Some(End::Close(_)) => return trace.line(format_args!("close")),
            // The standard library cannot close with a reset on purpose (SO_LINGER), so this is a
            // plain close. The client can still tell: declared content has not come to its end.
            Some(End::Abort(_)) => return trace.line(format_args!("close, aborted")),
            Some(End::Tunnel) => {
                trace.line(format_args!("tunnel, {} octets came early", http.unread().len()));
                echo(&mut socket, http.unread(), shared.idle, &trace);
                return trace.line(format_args!("close"));
            }
        }

        // Now wait: for the peer to take output, if there is some, or else for its input.
        let wait = shared.wait(http.deadline());
        if http.output().is_empty() {
            let Some(space) = http.space() else {
                // `check_invariants` of the machine says that this does not happen.
                return trace.line(format_args!("nothing to wait for"));
            };
            let read = socket.read(space, wait);
            trace.moved("read", read);
            http.received(clock.now(), read);
            continue;
        }
        let duplex = http.space().is_some();
        let wrote = socket.write(http.output(), if duplex { Some(TURN) } else { wait });
        trace.moved("write", wrote);
        http.transmitted(clock.now(), wrote);
        // A peer that takes no output may be busy sending, and wait for us to read.
        let more = !http.output().is_empty() || http.wants().content;
        if more && let Some(space) = http.space() {
            let read = socket.read_now(space);
            trace.moved("read", read);
            http.received(clock.now(), read);
        }
    }
}

/// A call that the machine refuses is a mistake of this program. It changed nothing, but the
/// response is now in doubt.
fn give_up(error: SendError, out: &mut keepalive::buffered::ServerOut<'_, Vec<u8>>) {
    eprintln!("serve: {error}");
    out.abort();
}

fn show(event: &Event<'_>, trace: &mut Trace) {
    match event {
        Event::Request(head) => {
            trace.new_exchange();
            trace.line(format_args!(
                "event request {} {} {}, content {:?}",
                head.method(),
                head.target().escape_ascii(),
                head.version(),
                head.framing(),
            ));
        }
        Event::Content(bytes) => trace.line(format_args!("event content {}", bytes.len())),
        Event::End(trailers) => {
            trace.line(format_args!("event end, {} trailers", trailers.count()))
        }
        Event::Failed(f) => {
            let (kind, at) = (f.kind, f.offset);
            trace.line(format_args!("event failed: {} at {at} ({})", kind.name(), kind.rule()));
        }
    }
}

/// The protocol `echo`: what comes in goes out. It is no HTTP any more, so it is no affair of the
/// machine's either; the bytes behind the request are the first of it.
fn echo(socket: &mut Socket, early: &[u8], idle: Duration, trace: &Trace) {
    let mut space = vec![0; 16 * 1024];
    let mut output = early.to_vec();
    loop {
        while !output.is_empty() {
            let wrote = socket.write(&output, Some(idle));
            trace.moved("write", wrote);
            match wrote {
                Io::Done(n) => drop(output.drain(..n)),
                Io::Nothing | Io::Lost(_) => return,
            }
        }
        let read = socket.read(&mut space, Some(idle));
        trace.moved("read", read);
        match read {
            Io::Done(n) if n > 0 => output.extend(space.iter().take(n)),
            Io::Done(_) | Io::Nothing | Io::Lost(_) => return,
        }
    }
}
