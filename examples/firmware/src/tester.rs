//! The world outside: a client's connection that asks what a script says, and checks each answer.
//!
//! As an example it shows the client's half: `checkout` before a connection is used again, uploads
//! that wait for a 100, requests in a pipeline.

use crate::device::{LOG, TEMPERATURE};
use crate::octets::{self, Checksum};
use crate::port::Port;
use core::time::Duration;
use keepalive::client::{Config, Connection, Event, Reuse};
use keepalive::{Buffer, CloseReason, Content, End, Failure, Instant, Io, SendError, Trailers};

/// The settings that all sessions begin with.
pub const CONFIG: Config = Config::direct()
    .max_head(512)
    .max_trailers(256)
    .head_wait(Duration::from_secs(10))
    .content_stall(Duration::from_secs(10));

/// Octets of the receive buffer.
pub const RECEIVE: usize = CONFIG.receive_buffer();
/// Octets of the transmit buffer.
pub const TRANSMIT: usize = 300;

/// One request, and with it what has to come of it.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// The method.
    pub method: &'static str,
    /// The target.
    pub target: &'static str,
    /// The content.
    pub upload: Upload,
    /// Made while the one before is unanswered.
    pub pipelined: bool,
    /// Says `close`.
    pub last: bool,
}

/// What is sent with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upload {
    /// Nothing.
    None,
    /// So many octets, with their length.
    Length(u32),
    /// So many octets in chunks, and their checksum as a trailer.
    Chunked(u32),
    /// So many octets, once the server said that it wants them.
    Expected(u32),
}

impl Upload {
    fn octets(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Length(n) | Self::Chunked(n) | Self::Expected(n) => n,
        }
    }
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Another status than 200.
    Status(u16),
    /// Content that was not expected.
    Content(Checksum),
    /// A trailer that is missing or wrong, or one that should not be there.
    Trailer,
    /// A 100 without being asked for, or none.
    Interim,
    /// A response that nobody asked for.
    Surplus,
    /// A response did not come to its end.
    Failed(Failure),
    /// A request was refused.
    Refused(SendError),
    /// The connection could not be used again, although more was to be asked.
    Gone(CloseReason),
    /// An end of the connection closed for another reason than expected, or before its time.
    Ended(Option<End>),
    /// Nothing moves, and no deadline will change that.
    Stuck,
}

/// The client's end of a connection.
pub struct Tester<'b> {
    http: Connection,
    received: Buffer<&'b mut [u8]>,
    output: Buffer<&'b mut [u8]>,
    script: &'static [Ask],
    http10: bool,
    /// Requests made, and answered.
    asked: usize,
    answered: usize,
    /// The next octet to be uploaded, while one uploads.
    upload: Option<u32>,
    /// What came of the present response.
    content: Checksum,
    interim: bool,
}

impl<'b> Tester<'b> {
    /// A connection that begins now, on these buffers, to ask all of the script.
    pub fn new(
        config: &Config,
        http10: bool,
        script: &'static [Ask],
        now: Instant,
        receive: &'b mut [u8],
        transmit: &'b mut [u8],
    ) -> Self {
        Self {
            http: Connection::new(&config.http10(http10), now),
            received: Buffer::new(receive),
            output: Buffer::new(transmit),
            script,
            http10,
            asked: 0,
            answered: 0,
            upload: None,
            content: Checksum::NONE,
            interim: false,
        }
    }

    /// The machine, for its questions.
    pub fn http(&self) -> &Connection {
        &self.http
    }

    /// Exchanges that were verified.
    pub fn answered(&self) -> usize {
        self.answered
    }

    /// Whether the whole script was.
    pub fn is_done(&self) -> bool {
        self.answered == self.script.len()
    }

    /// One turn of the loop: as the device's.
    ///
    /// # Errors
    /// What is not as it has to be.
    pub fn turn(&mut self, now: Instant, port: &mut impl Port) -> Result<Option<End>, Fault> {
        let read = self.read(now, port);
        self.receive(now)?;
        if self.http.deadline().is_some_and(|deadline| deadline.at <= now) {
            self.http.expire(now);
            self.receive(now)?;
        }
        self.ask(now, read)?;
        self.send_upload(now)?;
        self.write(now, port);
        let end = self.http.wants().end;
        if end.is_some() {
            port.close();
        }
        Ok(end)
    }

    fn read(&mut self, now: Instant, port: &mut impl Port) -> Io {
        let space = self.received.spare();
        let read = if space.is_empty() { Io::Nothing } else { port.read(space) };
        match read {
            Io::Done(0) => self.http.received_eof(now),
            Io::Done(n) => self.received.filled(n),
            Io::Nothing => {}
            Io::Lost(how) => self.http.lost(now, how),
        }
        read
    }

    fn receive(&mut self, now: Instant) -> Result<(), Fault> {
        let http = &mut self.http;
        while let Some(event) =
            self.received.present(|unread| http.receive(now, unread, usize::MAX))
        {
            let ask = *self.script.get(self.answered).ok_or(Fault::Surplus)?;
            match event {
                Event::Interim(head) if head.status() == 100 => self.interim = true,
                Event::Response(head) if head.status() == 200 => {}
                Event::Interim(head) | Event::Response(head) => {
                    return Err(Fault::Status(head.status()));
                }
                Event::Content(piece) => self.content.add(piece),
                Event::End(trailers) => {
                    ask.check(self.content, trailers, self.http10)?;
                    if self.interim != matches!(ask.upload, Upload::Expected(_)) {
                        return Err(Fault::Interim);
                    }
                    self.answered += 1;
                    self.content = Checksum::NONE;
                    self.interim = false;
                }
                Event::Failed(failure) => return Err(Fault::Failed(failure)),
            }
        }
        Ok(())
    }

    /// Makes the next request, if it is time for it.
    fn ask(&mut self, now: Instant, read: Io) -> Result<(), Fault> {
        let Some(ask) = self.script.get(self.asked) else { return Ok(()) };
        let first = self.asked == 0;
        if self.http.outstanding() == 0 && !first {
            // An idle connection may have been closed, or spoilt, since it was last used. The look at
            // it is not left to the caller's memory: without it the request would be refused.
            match self.http.checkout(now, read, self.received.unread()) {
                Reuse::Ready { .. } | Reuse::ImmediateOnly => self.received.clear(),
                Reuse::No(reason) => return Err(Fault::Gone(reason)),
                Reuse::Busy | Reuse::Unchecked => return Ok(()),
            }
        } else if !first && !ask.pipelined {
            return Ok(());
        }
        let content = match ask.upload {
            Upload::None => Content::None,
            Upload::Length(n) | Upload::Expected(n) => Content::Length(n.into()),
            Upload::Chunked(_) => Content::Unknown,
        };
        // Field lines are any iterator over pairs, so those that are not always there are filtered.
        let expected = matches!(ask.upload, Upload::Expected(_));
        let fields = [
            (true, ("Host", "device")),
            (expected, ("Expect", "100-continue")),
            (ask.last, ("Connection", "close")),
        ];
        let fields = fields.into_iter().filter(|(on, _)| *on).map(|(_, line)| line);
        let out = self.output.spare();
        match self.http.request(now, ask.method, ask.target, fields, content, out) {
            Ok(started) => {
                self.output.filled(started.written);
                self.asked += 1;
                self.upload = (content != Content::None).then_some(0);
                Ok(())
            }
            // Something before it has to be transmitted first.
            Err(SendError::Short { .. }) if !self.output.is_empty() => Ok(()),
            Err(SendError::NotReady(Reuse::Busy)) => Ok(()),
            Err(error) => Err(Fault::Refused(error)),
        }
    }

    /// More of the upload, as far as there is space for it, and the server wants it.
    fn send_upload(&mut self, now: Instant) -> Result<(), Fault> {
        let Some(ask) = self.script.get(self.asked.wrapping_sub(1)) else { return Ok(()) };
        while let Some(at) = self.upload
            && self.http.wants().content
        {
            let left = ask.upload.octets() - at;
            let space = self.http.fits(self.output.room()).min(left as usize);
            let mut piece = [0; 64];
            let n = space.min(piece.len());
            let piece = piece.get_mut(..n).unwrap_or_default();
            octets::fill(piece, at);
            if left > 0 {
                let moved = self.http.send(now, piece, self.output.spare());
                let moved = moved.map_err(Fault::Refused)?;
                self.output.filled(moved.written);
                self.upload = Some(at + moved.taken as u32);
                if moved.taken == 0 {
                    break;
                }
                // What was declared ends by itself.
                if left as usize == moved.taken && !matches!(ask.upload, Upload::Chunked(_)) {
                    self.upload = None;
                }
            } else {
                let checksum = Checksum::of_made(ask.upload.octets()).text();
                let trailers = [("Checksum", checksum.as_bytes())];
                match self.http.finish(now, trailers, self.output.spare()) {
                    Ok(written) => self.output.filled(written),
                    Err(SendError::Short { .. }) => break,
                    Err(error) => return Err(Fault::Refused(error)),
                }
                self.upload = None;
            }
        }
        Ok(())
    }

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

impl Ask {
    /// A request without content that waits for its turn.
    pub const fn get(target: &'static str) -> Self {
        Self { method: "GET", target, upload: Upload::None, pipelined: false, last: false }
    }

    /// One with content.
    pub const fn post(upload: Upload) -> Self {
        Self { method: "POST", target: "/checksum", upload, ..Self::get("") }
    }

    /// Judges what came as an answer.
    fn check(&self, content: Checksum, trailers: Trailers<'_>, http10: bool) -> Result<(), Fault> {
        let log = Checksum::of_made(LOG);
        let expected = match (self.method, self.target) {
            ("HEAD", _) => Checksum::NONE,
            (_, "/temperature") => Checksum::of(TEMPERATURE),
            (_, "/log") => log,
            _ => Checksum::of(Checksum::of_made(self.upload.octets()).text().as_bytes()),
        };
        if content != expected {
            return Err(Fault::Content(content));
        }
        // Chunks have a trailer section; a 1.0 client gets none, and the close ends the content.
        let summed = self.target == "/log" && self.method == "GET" && !http10;
        let text = log.text();
        let trailer = summed.then_some(text.as_bytes());
        if trailers.get("Checksum") == trailer { Ok(()) } else { Err(Fault::Trailer) }
    }
}
