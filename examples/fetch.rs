//! A client on `std::net`: `cargo run --release --example fetch -- http://127.0.0.1:8080/ --repeat 3`.
//!
//! It makes its requests on one connection while the machine says that this is right, and on a new
//! one when not. [`Connection::exchange`] is the part to read first: one request and its response.
//! [`Client::fetch`] is the other half of persistence: which connection, and whether to try again.

#[path = "serve/socket.rs"]
mod socket;
#[path = "serve/trace.rs"]
mod trace;

use keepalive::buffered::{self, ClientOut};
use keepalive::client::{Config, Event, Reuse};
use keepalive::{Clock, Content, Failure, NO_FIELDS, Persistence, Retry};
use lexopt::prelude::*;
use socket::{Socket, TURN};
use std::error::Error;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, StdoutLock, Take, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;
use trace::Trace;

const USAGE: &str = "usage: fetch URL [--repeat N] [--method M] [--data FILE] [--http1.0] \
                     [--pause MS] [--id NAME] [--trace] [--quiet]";

/// A server may refuse content of this size, so it is asked first.
const MUCH: u64 = 1024 * 1024;

type Outcome<T> = Result<T, Box<dyn Error>>;

#[derive(Default)]
struct Options {
    authority: String,
    target: String,
    repeat: u64,
    method: Option<String>,
    data: Option<OsString>,
    http10: bool,
    /// How long to wait between one request and the next.
    pause: Duration,
    /// Sends `Request-Id: NAME-N`: another N for each request, and the same when it is sent again.
    id: Option<String>,
    trace: bool,
    quiet: bool,
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("fetch: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let mut client = Client {
        options: &options,
        config: Config::direct().http10(options.http10),
        clock: Clock::start(),
        made: 0,
        kept: None,
        screen: Screen { out: io::stdout().lock(), quiet: options.quiet, in_line: false },
    };
    let run = (0..options.repeat).try_for_each(|number| {
        if number > 0 {
            thread::sleep(options.pause);
        }
        client.fetch(number)
    });
    match run {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fetch: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options, lexopt::Error> {
    let mut options = Options { repeat: 1, ..Options::default() };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Value(url) if options.authority.is_empty() => {
                let url = url.string()?;
                let split = split(&url).ok_or("only http://HOST[:PORT][/PATH][?QUERY] is known")?;
                (options.authority, options.target) = split;
            }
            Long("repeat") => options.repeat = arguments.value()?.parse()?,
            Long("method") => options.method = Some(arguments.value()?.string()?),
            Long("data") => options.data = Some(arguments.value()?),
            Long("http1.0") => options.http10 = true,
            Long("pause") => options.pause = Duration::from_millis(arguments.value()?.parse()?),
            Long("id") => options.id = Some(arguments.value()?.string()?),
            Long("trace") => options.trace = true,
            Long("quiet") => options.quiet = true,
            _ => return Err(argument.unexpected()),
        }
    }
    if options.authority.is_empty() {
        return Err("no URL".into());
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

// ------------------------------------------------------------------------ which connection

struct Client<'o> {
    options: &'o Options,
    config: Config,
    clock: Clock,
    /// Connections made so far.
    made: u64,
    /// The last one, which may be good for another request.
    kept: Option<Connection>,
    screen: Screen<'o>,
}

impl Client<'_> {
    /// Makes a request, and makes it again where the machine says that this is safe: once, and on a
    /// new connection.
    fn fetch(&mut self, number: u64) -> Outcome<()> {
        let id = self.options.id.as_ref().map(|name| format!("{name}-{number}"));
        let mut expect = true;
        let mut connection = self.connection()?;
        for first in [true, false] {
            let mut request = Request::of(self.options, id.as_deref(), expect)?;
            connection.requests += 1;
            let ended = connection.exchange(&mut request, &mut self.screen)?;
            let account =
                format!("connection {}, request {}", connection.number, connection.requests);
            let (why, retry) = match ended {
                Ended::Whole(status) => {
                    eprintln!("{account}: {status}, {}", connection.prospects());
                    self.kept = Some(connection);
                    return Ok(());
                }
                Ended::Declined(status, retry) => {
                    expect = status != 417;
                    (format!("{status}"), Some(retry))
                }
                Ended::Failed(failure, retry) => (failure.to_string(), retry),
            };
            match retry {
                Some(retry) if first && retry.allows(request.replayable) => {
                    eprintln!("{account}: {why}; sent again ({})", retry.reason());
                    connection = self.connect()?;
                }
                Some(retry) => {
                    let verdict = retry.verdict;
                    eprintln!(
                        "{account}: {why}; safe to send again: {verdict:?} ({})",
                        retry.reason()
                    );
                    break;
                }
                None => {
                    eprintln!("{account}: {why}");
                    break;
                }
            }
        }
        Err("the request failed".into())
    }

    /// The connection that was kept, if it may still be used, or a new one.
    fn connection(&mut self) -> Outcome<Connection> {
        if let Some(mut kept) = self.kept.take() {
            // The server may have closed it since, or have something to say that nobody asked for.
            // So nothing is sent before a look at the socket; a request that crosses the close on
            // its way can then still happen, but only within a round trip.
            let read = |space: &mut [u8]| kept.socket.read_now(space);
            let reuse = kept.http.checkout(self.clock.now(), read);
            kept.trace.line(format_args!("checkout {reuse:?}"));
            if matches!(reuse, Reuse::Ready { .. } | Reuse::ImmediateOnly) {
                return Ok(kept);
            }
        }
        self.connect()
    }

    fn connect(&mut self) -> Outcome<Connection> {
        let authority = self.options.authority.as_str();
        let port = authority.rsplit_once(':').map(|(_, port)| port);
        let connected = match port {
            Some(port) if port.bytes().all(|b| b.is_ascii_digit()) && !port.is_empty() => {
                TcpStream::connect(authority)
            }
            _ => TcpStream::connect(format!("{}:80", authority.trim_end_matches(':'))),
        };
        let stream = connected.map_err(|error| format!("cannot connect: {error}"))?;
        self.made += 1;
        Ok(Connection {
            number: self.made,
            requests: 0,
            clock: self.clock,
            socket: Socket::new(stream)?,
            http: buffered::Client::allocate(&self.config, self.clock.now()),
            trace: Trace::new(self.options.trace, self.made),
        })
    }
}

// ------------------------------------------------------------------------ one exchange

struct Connection {
    number: u64,
    requests: u64,
    clock: Clock,
    socket: Socket,
    http: buffered::Client<Vec<u8>>,
    trace: Trace,
}

/// How an exchange ended.
enum Ended {
    /// With a whole response, of this status.
    Whole(u16),
    /// With a response that is a reason to ask again: a 408 or a 417.
    Declined(u16, Retry),
    /// Without one, or with half of one.
    Failed(Failure, Option<Retry>),
}

impl Connection {
    fn exchange(&mut self, request: &mut Request, screen: &mut Screen<'_>) -> Outcome<Ended> {
        let Self { socket, http, trace, clock, .. } = self;
        trace.new_exchange();
        trace.line(format_args!("request {} {}", request.method, request.target));
        let fields = request.fields.iter().copied();
        http.out(clock.now()).request(request.method, request.target, fields, request.content)?;

        let mut status = 0;
        let mut whole = false;
        loop {
            // First what the bytes at hand mean, until they mean nothing more, and the deadlines
            // that are due.
            let now = clock.now();
            while let (Some(event), _) = http.next(now, usize::MAX) {
                show(&event, trace);
                match event {
                    Event::Interim(_) => {}
                    Event::Response(head) => {
                        status = head.status();
                        let reason = String::from_utf8_lossy(head.reason());
                        let line = format!("HTTP/{} {status} {reason}", head.version());
                        // To be asked now: with the end of the response it is the answer.
                        match http.retry(0) {
                            Some(retry) if retry.allows(request.replayable) => {
                                return Ok(Ended::Declined(status, retry));
                            }
                            _ => screen.status(&line)?,
                        }
                    }
                    Event::Content(bytes) => screen.content(bytes)?,
                    Event::End(_) => whole = true,
                    Event::Failed(failure) => return Ok(Ended::Failed(failure, http.retry(0))),
                }
            }
            trace.verdict(http.persistence());
            trace.deadline(now, http.deadline());

            // A response can be whole before the request is.
            if whole && http.reuse(now) != Reuse::Busy {
                return Ok(Ended::Whole(status));
            }
            if let Some(end) = http.wants().end {
                return Err(format!("the connection ended: {end:?}").into());
            }
            if http.wants().content {
                request.send(&mut http.out(now))?;
            }

            // Now wait: for the server to take output, if there is some, or else for its input.
            let wait = clock.until(http.deadline());
            if http.output().is_empty() {
                let Some(space) = http.space() else {
                    return Err("there is nothing to wait for".into());
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
            // A server may answer before it has the whole request, to say that it does not want it.
            let more = !http.output().is_empty() || http.wants().content;
            if more && let Some(space) = http.space() {
                let read = socket.read_now(space);
                trace.moved("read", read);
                http.received(clock.now(), read);
            }
        }
    }

    /// What can be said about the next request on this connection.
    fn prospects(&self) -> String {
        let now = self.clock.now();
        match (self.http.persistence(), self.http.reuse(now)) {
            (Persistence::Close(why), _) => format!("close: {why}"),
            (_, Reuse::Ready { until, left }) => {
                let until = until.map(|at| format!(" for {} ms", at.since(now).as_millis()));
                let left = left.map(|n| format!(", {n} more"));
                let (until, left) = (until.unwrap_or_default(), left.unwrap_or_default());
                format!("persist: usable{until}{left}")
            }
            (_, Reuse::No(why)) => format!("persist, but of no use: {why}"),
            (_, reuse) => format!("persist: {reuse:?}"),
        }
    }
}

fn show(event: &Event<'_>, trace: &Trace) {
    match event {
        Event::Interim(head) => trace.line(format_args!("event interim {}", head.status())),
        Event::Response(head) => {
            let (status, framing) = (head.status(), head.framing());
            trace.line(format_args!("event response {status}, content {framing:?}"));
        }
        Event::Content(bytes) => trace.line(format_args!("event content {}", bytes.len())),
        Event::End(trailers) => {
            trace.line(format_args!("event end, {} trailers", trailers.count()))
        }
        Event::Failed(failure) => trace.line(format_args!("event failed: {failure}")),
    }
}

// ------------------------------------------------------------------------ what is sent

struct Request<'o> {
    method: &'o str,
    target: &'o str,
    fields: Vec<(&'o str, &'o str)>,
    content: Content,
    data: Option<Take<File>>,
    /// Whether the content can be sent a second time.
    replayable: bool,
}

impl<'o> Request<'o> {
    fn of(options: &'o Options, id: Option<&'o str>, expect: bool) -> Outcome<Self> {
        let mut request = Request {
            method: options.method.as_deref().unwrap_or("GET"),
            target: &options.target,
            fields: vec![("Host", &options.authority), ("User-Agent", "fetch"), ("Accept", "*/*")],
            content: Content::None,
            data: None,
            replayable: true,
        };
        request.fields.extend(id.map(|id| ("Request-Id", id)));
        let Some(name) = &options.data else { return Ok(request) };
        let file = File::open(name).map_err(|error| format!("{}: {error}", name.display()))?;
        let meta = file.metadata()?;
        request.method = options.method.as_deref().unwrap_or("POST");
        request.fields.push(("Content-Type", "application/octet-stream"));
        if meta.is_file() {
            // What is added to the file from now on does not belong to the request.
            request.content = Content::Length(meta.len());
            request.data = Some(file.take(meta.len()));
            if meta.len() > MUCH && expect && !options.http10 {
                request.fields.push(("Expect", "100-continue"));
            }
        } else {
            // A pipe: nobody knows how much will come, and it comes once.
            request.content = Content::Unknown;
            request.data = Some(file.take(u64::MAX));
            request.replayable = false;
        }
        Ok(request)
    }

    /// Sends as much content as there is room for.
    fn send(&mut self, out: &mut ClientOut<'_, Vec<u8>>) -> Outcome<()> {
        let Some(data) = &mut self.data else { return Ok(()) };
        let mut piece = [0; 8 * 1024];
        while out.wants().content && out.room() > 0 {
            let room = out.room().min(piece.len());
            let n = data.read(piece.get_mut(..room).unwrap_or_default())?;
            if n == 0 {
                // The end of a pipe. A file that ends early leaves the request without an end, and
                // the machine objects.
                return Ok(out.finish(NO_FIELDS)?);
            }
            out.send(piece.get(..n).unwrap_or_default())?;
        }
        Ok(())
    }
}

// ------------------------------------------------------------------------ what is shown

/// Standard output: for each response its status on a line of its own, and its content unchanged.
struct Screen<'o> {
    out: StdoutLock<'o>,
    quiet: bool,
    /// The content did not end in a new line.
    in_line: bool,
}

impl Screen<'_> {
    fn status(&mut self, line: &str) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        let before = if self.in_line { "\n" } else { "" };
        self.in_line = false;
        writeln!(self.out, "{before}{line}")
    }

    fn content(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        self.in_line = bytes.last().is_some_and(|&b| b != b'\n');
        self.out.write_all(bytes)
    }
}
