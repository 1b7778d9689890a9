//! A server on `std::net`, one thread a connection: `cargo run --release --example serve`.
//!
//! [`drive`] is the part to read first: a whole HTTP/1.x connection, from its first byte to its
//! close. `--trace` shows it at work. The application is in `routes.rs`.

mod routes;
mod socket;
mod trace;

use keepalive::buffered::Server;
use keepalive::server::{Config, Event};
use keepalive::{Clock, End, Io, SendError};
use lexopt::prelude::*;
use socket::{Socket, TURN};
use std::io::{self, Write as _};
use std::net::{Shutdown, TcpListener};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;
use trace::Trace;

const USAGE: &str = "usage: serve [--listen ADDR] [--idle SECONDS] [--max-requests N] [--trace]";

#[derive(Clone)]
struct Options {
    listen: String,
    /// How long a connection is kept without a request.
    idle: Duration,
    /// Requests on one connection; 0 for no limit.
    max_requests: u32,
    trace: bool,
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
        max_requests: 0,
        trace: false,
    };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("listen") => options.listen = arguments.value()?.parse()?,
            Long("idle") => options.idle = arguments.value()?.parse_with(seconds)?,
            Long("max-requests") => options.max_requests = arguments.value()?.parse()?,
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

    // One configuration and one clock for all connections; each machine keeps a copy of the first.
    let config = Config::origin().idle(options.idle).max_requests(options.max_requests);
    let clock = Clock::start();
    let mut number = 0;
    for stream in listener.incoming() {
        let socket = match stream.and_then(Socket::new) {
            Ok(socket) => socket,
            Err(error) => {
                // Out of descriptors, perhaps: let some connections end first.
                eprintln!("serve: accept: {error}");
                thread::sleep(Duration::from_millis(50));
                continue;
            }
        };
        number += 1;
        let trace = Trace::new(options.trace, number);
        let idle = options.idle;
        let serve = move || drive(socket, &config, clock, idle, trace);
        if let Err(error) = thread::Builder::new().spawn(serve) {
            eprintln!("serve: no thread: {error}");
        }
    }
    Ok(())
}

/// Serves one connection. Dropping the socket closes it.
fn drive(mut socket: Socket, config: &Config, clock: Clock, idle: Duration, mut trace: Trace) {
    let mut http = Server::allocate(config, clock.now());
    let mut task = routes::Task::default();
    trace.line(format_args!("accepted"));
    loop {
        // First what the bytes at hand mean, until they mean nothing more; then the deadlines that
        // are due. Content is echoed into the send buffer, so no more of it is taken than fits
        // there: that is all of back-pressure.
        let now = clock.now();
        loop {
            let room = http.out(now).room();
            let (event, mut out) = http.next(now, room);
            let Some(event) = event else { break };
            show(&event, &mut trace);
            if let Err(error) = task.handle(&event, &mut out) {
                give_up(error, &mut out);
            }
            trace.verdict(out.persistence());
        }
        let mut out = http.out(now);
        if let Err(error) = task.go_on(&mut out) {
            give_up(error, &mut out);
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
                echo(&mut socket, http.unread(), idle, &trace);
                return trace.line(format_args!("close"));
            }
        }

        // Now wait: for the peer to take output, if there is some, or else for its input.
        let wait = clock.until(http.deadline());
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
