//! The device: a server's connection on two buffers.
//!
//! It answers `GET /temperature` with a length, `GET /log` with content of which nobody knows the
//! length beforehand and that is many times larger than the memory, and `POST /checksum` with the
//! checksum of what was uploaded, however that came.

use crate::octets::{self, Checksum};
use crate::port::Port;
use core::time::Duration;
use keepalive::server::{Config, Connection, Event};
use keepalive::{Buffer, Content, End, Instant, Io, Plan, SendError, Trailers};

/// The settings. Limits first: a head has to fit the receive buffer as a whole, so they decide how much
/// memory a connection takes. A constant lives in flash, and each connection copies what it needs.
pub const CONFIG: Config = Config::origin()
    .max_head(1024)
    .max_target(64)
    .max_trailers(256)
    .max_requests(0)
    .idle(Duration::from_secs(20));

/// Octets of the receive buffer: the settings say how many are enough.
pub const RECEIVE: usize = CONFIG.receive_buffer();

/// Octets of the transmit buffer: as large as the largest response head, and here and there a response
/// with it. More makes fewer and larger writes.
pub const TRANSMIT: usize = 512;

/// Octets of the log: far more than there is memory for.
pub const LOG: u32 = 5_000;

/// What `/temperature` says.
pub const TEMPERATURE: &[u8] = b"21.5\n";

/// The device's end of one connection. Everything about it is in here; an array of these is a server
/// for several connections.
pub struct Device<'b> {
    http: Connection,
    /// What came in and is not consumed yet.
    received: Buffer<&'b mut [u8]>,
    /// What was written and is not sent yet.
    output: Buffer<&'b mut [u8]>,
    request: Request,
}

/// What is remembered of the request in progress. Its head borrowed the receive buffer and is gone as
/// soon as the buffer moves on, so decide at once what it asks for, and keep only that.
#[derive(Clone, Copy)]
struct Request {
    resource: Resource,
    uploaded: Checksum,
    /// The next octet of the log to be sent, while it is being sent.
    log: Option<u32>,
}

#[derive(Clone, Copy)]
enum Resource {
    Temperature,
    Log,
    Checksum,
    Missing,
}

impl Resource {
    fn find(method: &str, target: &[u8]) -> Self {
        match (method, target) {
            ("GET" | "HEAD", b"/temperature") => Self::Temperature,
            ("GET" | "HEAD", b"/log") => Self::Log,
            ("POST", b"/checksum") => Self::Checksum,
            _ => Self::Missing,
        }
    }
}

impl<'b> Device<'b> {
    /// A connection that begins now, on these buffers.
    pub fn new(now: Instant, receive: &'b mut [u8], transmit: &'b mut [u8]) -> Self {
        Self {
            http: Connection::new(&CONFIG, now),
            received: Buffer::new(receive),
            output: Buffer::new(transmit),
            request: Request { resource: Resource::Missing, uploaded: Checksum::NONE, log: None },
        }
    }

    /// The machine, for its questions: when it is due, how it stands.
    pub fn http(&self) -> &Connection {
        &self.http
    }

    /// One turn of the loop. It never blocks and may be called at any time. It has to be called when
    /// octets came, when the port can take more, and when `http().deadline()` is due: on a real device
    /// the interrupts of the port and of one timer wake the loop up, and there is nothing to do between.
    ///
    /// Returns how the connection ended, once it has.
    pub fn turn(&mut self, now: Instant, port: &mut impl Port) -> Option<End> {
        self.read(now, port);
        self.receive(now);
        // Only now: what came in time is not late because the loop was.
        if self.http.deadline().is_some_and(|deadline| deadline.at <= now) {
            self.http.expire(now);
            self.receive(now);
        }
        self.send_log(now);
        self.write(now, port);
        match self.http.wants().end {
            Some(End::ShutdownWrite) => {
                port.close();
                self.http.write_closed(now);
                None
            }
            end => end,
        }
    }

    /// From the port into the receive buffer.
    fn read(&mut self, now: Instant, port: &mut impl Port) {
        let space = self.received.spare();
        if space.is_empty() {
            return; // the machine has enough for now: what it has said is to be done first
        }
        match port.read(space) {
            Io::Done(0) => self.http.received_eof(now),
            Io::Done(n) => self.received.filled(n),
            Io::Nothing => {}
            Io::Lost(how) => self.http.lost(now, how),
        }
    }

    /// From the receive buffer into the machine, until it has nothing more to tell.
    fn receive(&mut self, now: Instant) {
        let Self { http, received, output, request } = self;
        loop {
            // The whole of back-pressure. A request is shown only when there is space for its
            // response head; so an answer can be written at once, and nothing has to be queued.
            let room = http.fits(output.room());
            // `present` shows what is unread and drops what was consumed.
            let event = received.present(|unread| http.receive(now, unread, room));
            let Some(event) = event else { break };
            match event {
                Event::Request(head) => {
                    request.resource = Resource::find(head.method(), head.target());
                    request.uploaded = Checksum::NONE;
                    // All content is wanted. Who does not want it just answers: the machine then reads
                    // a little to throw it away, or closes, and says so in the response.
                    http.read_content(now);
                }
                Event::Content(piece) => request.uploaded.add(piece),
                Event::End(trailers) => match request.answer(now, trailers, http, output.spare()) {
                    Ok(written) => output.filled(written),
                    // The response is larger than the buffer, which is a mistake of ours.
                    Err(_) => http.abort(now),
                },
                // The peer's mistake. The machine answers by itself, as far as an answer makes sense.
                Event::Failed(_) => {}
            }
        }
        // What the machine has to say for itself: 100 (Continue), 400 and the like.
        if http.wants().emit
            && let Ok(written) = http.emit(now, output.spare())
        {
            output.filled(written);
        }
    }

    /// More of the log, if it is being sent: as much as there is space for.
    fn send_log(&mut self, now: Instant) {
        let Self { http, output, request, .. } = self;
        while let Some(at) = request.log {
            let left = LOG - at;
            let space = http.fits(output.room()).min(left as usize);
            // The log is made piece by piece. Who has content in memory already hands it to `send` as
            // it is, or goes without the copy by `frame`.
            let mut piece = [0; 64];
            let n = space.min(piece.len());
            let piece = piece.get_mut(..n).unwrap_or_default();
            octets::fill(piece, at);
            let sent = if left > 0 {
                http.send(now, piece, output.spare()).map(|moved| {
                    request.log = Some(at + moved.taken as u32);
                    moved.written
                })
            } else {
                let checksum = Checksum::of_made(LOG).text();
                let trailers = [("Checksum", checksum.as_bytes())];
                http.finish(now, trailers, output.spare()).inspect(|_| request.log = None)
            };
            match sent {
                Ok(0) if request.log.is_some() => return, // no space: when some was transmitted
                Ok(written) => output.filled(written),
                Err(SendError::Short { .. }) => return, // likewise
                // The response was lost in the meantime; how, `wants` says.
                Err(_) => request.log = None,
            }
        }
    }

    /// From the transmit buffer to the port.
    fn write(&mut self, now: Instant, port: &mut impl Port) {
        if self.output.is_empty() {
            return;
        }
        match port.write(self.output.unread()) {
            Io::Done(n) => {
                self.output.consume(n);
                self.http.transmitted(now, n as u64);
            }
            Io::Nothing => {}
            Io::Lost(how) => self.http.lost(now, how),
        }
    }
}

impl Request {
    /// Writes the response, or its head where the content is still to be made. The machine adds
    /// `Connection`, `Content-Length`, `Transfer-Encoding` and `Keep-Alive` as they are due.
    fn answer(
        &mut self,
        now: Instant,
        trailers: Trailers<'_>,
        http: &mut Connection,
        out: &mut [u8],
    ) -> Result<usize, SendError> {
        const TEXT: [(&str, &str); 1] = [("Content-Type", "text/plain")];
        match self.resource {
            Resource::Temperature => http.reply(now, 200, TEXT, TEMPERATURE, out),
            Resource::Checksum => {
                let text = self.uploaded.text();
                let wrong = trailers.get("Checksum").is_some_and(|told| told != text.as_bytes());
                http.reply(now, if wrong { 400 } else { 200 }, TEXT, text.as_bytes(), out)
            }
            Resource::Log => {
                let started = http.respond(now, 200, TEXT, Content::Unknown, out)?;
                // The plan says whether there is content to be sent at all: not so for HEAD.
                self.log = (started.plan != Plan::None).then_some(0);
                Ok(started.written)
            }
            Resource::Missing => http.reply(now, 404, TEXT, b"no such resource\n", out),
        }
    }
}
