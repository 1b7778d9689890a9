//! What the machine makes of a captured stream: an account, entry by entry.
//!
//! The application's part is fixed. A server answers each request with an empty 200 once it is
//! complete; a client has made the requests it is told. Bytes are presented a few at a time, and the
//! account does not depend on how many.

use std::time::Duration;

use keepalive::{
    Blame, CloseReason, Content, Deadline, Instant, Io, Kind, Line, NO_FIELDS, Persistence,
    RequestFraming, ResponseFraming, client, server,
};

/// Whose eyes the stream is seen with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The stream holds requests.
    Server,
    /// The stream holds responses.
    Client,
}

/// What to make of the stream.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Whose eyes.
    pub(crate) role: Role,
    /// Client: the methods of the requests outstanding, in order.
    pub(crate) requests: Vec<String>,
    /// Client: they offered an upgrade, to whatever protocol.
    pub(crate) offered_upgrade: bool,
    /// The peer closes after these bytes.
    pub(crate) eof: bool,
    /// So many bytes are presented at a time.
    pub(crate) split: usize,
    /// So much time passes between them; deadlines are told as they move.
    pub(crate) trickle: Option<Duration>,
}

/// A field line: name and value.
pub(crate) type Field = (Vec<u8>, Vec<u8>);

/// How content is delimited: a name, and the length if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Framing {
    /// `none`, `length`, `chunked`, `close`, `tunnel`.
    pub(crate) name: &'static str,
    /// The length.
    pub(crate) length: Option<u64>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// A request head.
    Request {
        method: String,
        target: Vec<u8>,
        version: String,
        fields: Vec<Field>,
        framing: Framing,
        expect: bool,
        upgrade: bool,
    },
    /// A response head.
    Response {
        status: u16,
        reason: Vec<u8>,
        version: String,
        fields: Vec<Field>,
        framing: Framing,
        interim: bool,
    },
    /// Content.
    Content(Vec<u8>),
    /// The message is whole.
    End { trailers: Vec<Field> },
    /// Whether the connection goes on.
    Persistence { persist: bool, reason: &'static str, rule: &'static str, rfc: &'static str },
    /// Bytes after a switch.
    Tunnel(Vec<u8>),
    /// Bytes behind a closing message, or unsolicited.
    Ignored(Vec<u8>),
    /// The peer broke a rule.
    Error { blame: Blame, kind: Kind, status: Option<u16> },
    /// The input ended in the middle of a message.
    Incomplete { part: &'static str },
    /// The next deadline moved: the time now, and which timer expires when.
    Deadline { now: Instant, next: Option<Deadline> },
}

/// What happened, and where in the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Octets from the beginning of the stream.
    pub(crate) offset: u64,
    /// What.
    pub(crate) item: Item,
}

/// Tells the whole story of a stream.
pub(crate) fn account(bytes: &[u8], options: &Options) -> Vec<Entry> {
    let story = Story {
        bytes,
        end: 0,
        at: 0,
        options,
        entries: Vec::new(),
        over: false,
        now: Instant::default(),
        next: None,
    };
    match options.role {
        Role::Server => story.requests(),
        Role::Client => story.responses(),
    }
}

struct Story<'a> {
    bytes: &'a [u8],
    /// So much has arrived.
    end: usize,
    /// So much is consumed.
    at: usize,
    options: &'a Options,
    entries: Vec<Entry>,
    /// Nothing more is to be told.
    over: bool,
    /// Virtual time.
    now: Instant,
    /// The deadline last told.
    next: Option<Deadline>,
}

impl<'a> Story<'a> {
    fn unread(&self) -> &'a [u8] {
        self.bytes.get(self.at..self.end).unwrap_or_default()
    }

    fn rest(&self) -> Vec<u8> {
        self.bytes.get(self.at..).unwrap_or_default().to_vec()
    }

    /// More bytes arrive, if there are any.
    fn arrive(&mut self) -> bool {
        let before = self.end;
        if before > 0 && before < self.bytes.len() {
            self.now = self.now + self.options.trickle.unwrap_or_default();
        }
        self.end = self.end.saturating_add(self.options.split.max(1)).min(self.bytes.len());
        self.end > before
    }

    /// Tells the next deadline, if it is to be told and has moved.
    fn watch(&mut self, next: Option<Deadline>) {
        if self.options.trickle.is_some() && next != self.next && !self.over {
            self.next = next;
            let now = self.now;
            self.entries
                .push(Entry { offset: self.end as u64, item: Item::Deadline { now, next } });
        }
    }

    fn tell(&mut self, offset: usize, item: Item) {
        if let (Some(Entry { item: Item::Content(all), .. }), Item::Content(more)) =
            (self.entries.last_mut(), &item)
        {
            all.extend_from_slice(more);
            return;
        }
        self.entries.push(Entry { offset: offset as u64, item });
    }

    fn fail(&mut self, failure: keepalive::Failure) {
        let kind = failure.kind;
        let item = match kind {
            Kind::IncompleteHead => Item::Incomplete { part: "head" },
            Kind::IncompleteContent => Item::Incomplete { part: "content" },
            Kind::IncompleteTrailers => Item::Incomplete { part: "trailers" },
            // Nothing of a response that was waited for: nothing to tell.
            Kind::NoResponse => return self.over = true,
            _ => {
                let answered = self.options.role == Role::Server;
                Item::Error {
                    blame: kind.blame(),
                    kind,
                    status: kind.status().filter(|_| answered),
                }
            }
        };
        self.entries.push(Entry { offset: failure.offset, item });
        self.over = true;
    }

    /// A verdict of the server's, and what it means for the bytes that follow.
    fn decided(
        &mut self,
        verdict: Persistence,
        persist: (&'static str, &'static str, &'static str),
    ) {
        let (reason, rule, rfc) = match verdict {
            Persistence::Persist { .. } => persist,
            Persistence::Close(why) => (why.text(), why.rule(), why.rfc()),
        };
        self.tell(self.at, Item::Persistence { persist: verdict.persists(), reason, rule, rfc });
        if let Persistence::Close(why) = verdict {
            let rest = self.rest();
            if !rest.is_empty() {
                let tunnel = why == CloseReason::Tunnel;
                self.tell(self.at, if tunnel { Item::Tunnel(rest) } else { Item::Ignored(rest) });
            }
            self.over = true;
        }
    }

    // ---- a server's account ----

    fn requests(mut self) -> Vec<Entry> {
        let mut conn = server::Connection::new(&server::Config::origin(), self.now);
        while !self.over {
            self.receive_requests(&mut conn);
            self.watch(conn.deadline());
            if self.over || !self.arrive() {
                break;
            }
            conn.expire(self.now);
            conn.check_invariants();
        }
        if !self.over {
            // Whether the peer closes or not: what is unfinished now stays so.
            conn.received_eof(self.now);
            if let Some(server::Event::Failed(f)) =
                conn.receive(self.now, self.unread(), usize::MAX).event
            {
                self.fail(f);
            }
            conn.check_invariants();
        }
        self.entries
    }

    fn receive_requests(&mut self, conn: &mut server::Connection) {
        let mut connect = false;
        let mut out = [0; 1024];
        while !self.over {
            let step = conn.receive(self.now, self.unread(), usize::MAX);
            // For the tests, which hold this account against others.
            conn.check_invariants();
            self.at += step.consumed;
            let Some(event) = step.event else { break };
            match event {
                server::Event::Request(head) => {
                    connect = head.is_connect();
                    conn.read_content(self.now);
                    let framing = match head.framing() {
                        RequestFraming::None => Framing { name: "none", length: None },
                        RequestFraming::Length(n) => Framing { name: "length", length: Some(n) },
                        RequestFraming::Chunked => Framing { name: "chunked", length: None },
                    };
                    let start = self.at - head.as_bytes().len();
                    self.tell(
                        start,
                        Item::Request {
                            method: head.method().to_owned(),
                            target: head.target().to_vec(),
                            version: head.version().to_string(),
                            fields: fields(head.fields()),
                            framing,
                            expect: head.expects_continue(),
                            upgrade: connect || head.offers_upgrade(),
                        },
                    );
                }
                server::Event::Content(piece) => {
                    self.tell(self.at - piece.len(), Item::Content(piece.to_vec()))
                }
                server::Event::End(trailers) => {
                    self.tell(self.at, Item::End { trailers: fields(trailers) });
                    let answer = if connect {
                        conn.respond(self.now, 200, NO_FIELDS, Content::None, &mut out)
                            .map(|s| s.written)
                    } else {
                        conn.reply(self.now, 200, NO_FIELDS, b"", &mut out)
                    };
                    conn.check_invariants();
                    conn.transmitted(self.now, answer.unwrap_or(0) as u64);
                    conn.check_invariants();
                    self.decided(
                        conn.persistence(),
                        ("no reason to close", "S1.3", "RFC 9112 §9.3"),
                    );
                }
                server::Event::Failed(failure) => self.fail(failure),
            }
        }
        if let Ok(n) = conn.emit(self.now, &mut out) {
            conn.transmitted(self.now, n as u64);
        }
        conn.check_invariants();
    }

    // ---- a client's account ----

    fn responses(mut self) -> Vec<Entry> {
        let mut conn = client::Connection::new(&client::Config::direct(), self.now);
        let mut methods = self.options.requests.iter();
        // The next request, as if it had been made before these bytes came.
        let mut ask = |conn: &mut client::Connection, now: Instant| {
            let Some(method) = methods.next() else { return false };
            let mut out = [0; 1024];
            let target = if method == "CONNECT" { "a:80" } else { "/" };
            // An offer of several protocols counts as one of any.
            let offer = (self.options.offered_upgrade && method != "CONNECT")
                .then_some(Line::from(("Upgrade", "a, b, c")));
            let lines = [Line::from(("Host", "a"))].into_iter().chain(offer);
            let _ = conn.checkout(now, Io::Nothing, b"");
            let Ok(started) = conn.request(now, method, target, lines, Content::None, &mut out)
            else {
                return false;
            };
            conn.check_invariants();
            conn.transmitted(now, started.written as u64);
            conn.check_invariants();
            true
        };
        let mut waiting = ask(&mut conn, self.now);
        let mut answered = false;
        // When all is answered, what is still to come decides with.
        while !self.over && waiting {
            let step = conn.receive(self.now, self.unread(), usize::MAX);
            conn.check_invariants();
            self.at += step.consumed;
            let Some(event) = step.event else {
                self.watch(conn.deadline());
                if !self.arrive() {
                    break;
                }
                conn.expire(self.now);
                conn.check_invariants();
                continue;
            };
            match event {
                client::Event::Interim(head) => self.response(&head, true),
                client::Event::Response(head) => self.response(&head, false),
                client::Event::Content(piece) => {
                    self.tell(self.at - piece.len(), Item::Content(piece.to_vec()))
                }
                client::Event::End(trailers) => {
                    self.tell(self.at, Item::End { trailers: fields(trailers) });
                    answered = true;
                    if conn.persistence().persists() {
                        let before = verdict(&conn, self.now);
                        waiting = ask(&mut conn, self.now);
                        if waiting {
                            self.decided(Persistence::Persist { remaining: None }, before);
                        }
                    } else {
                        self.decided(conn.persistence(), verdict(&conn, self.now));
                    }
                }
                client::Event::Failed(failure) => self.fail(failure),
            }
        }
        if self.over {
            return self.entries;
        }
        if waiting {
            self.unfinished(conn);
        } else {
            self.unsolicited(conn, answered);
        }
        self.entries
    }

    /// The bytes end before the last response does, or with it.
    fn unfinished(&mut self, mut conn: client::Connection) {
        conn.received_eof(self.now);
        let step = conn.receive(self.now, self.unread(), usize::MAX);
        conn.check_invariants();
        match step.event {
            Some(client::Event::Failed(failure)) => self.fail(failure),
            Some(client::Event::End(_)) if self.options.eof => {
                self.tell(self.at, Item::End { trailers: Vec::new() });
                self.decided(conn.persistence(), verdict(&conn, self.now));
            }
            Some(client::Event::End(_)) => {
                self.tell(self.at, Item::Incomplete { part: "content" });
            }
            _ => {}
        }
    }

    /// Behind the last response: a few empty lines are nothing; anything else is unsolicited.
    fn unsolicited(&mut self, mut conn: client::Connection, answered: bool) {
        let blank = self
            .bytes
            .iter()
            .skip(self.at)
            .take(8)
            .take_while(|b| matches!(b, b'\r' | b'\n'))
            .count();
        let mut at = self.at;
        loop {
            let unread = self.bytes.get(at..self.end).unwrap_or_default();
            at += conn.receive(self.now, unread, usize::MAX).consumed;
            conn.check_invariants();
            if !self.arrive() {
                break;
            }
        }
        self.at += blank;
        if answered {
            let verdict = verdict(&conn, self.now);
            self.decided(conn.persistence(), verdict);
        } else if self.at < self.bytes.len() {
            self.tell(self.at, Item::Ignored(self.rest()));
        }
    }

    fn response(&mut self, head: &keepalive::ResponseHead<'_>, interim: bool) {
        let framing = match head.framing() {
            ResponseFraming::None => Framing { name: "none", length: None },
            ResponseFraming::Length(n) => Framing { name: "length", length: Some(n) },
            ResponseFraming::Chunked => Framing { name: "chunked", length: None },
            ResponseFraming::UntilClose => Framing { name: "close", length: None },
            ResponseFraming::Tunnel => Framing { name: "tunnel", length: None },
        };
        let start = self.at - head.as_bytes().len();
        self.tell(
            start,
            Item::Response {
                status: head.status(),
                reason: head.reason().to_vec(),
                version: head.version().to_string(),
                fields: fields(head.fields()),
                framing,
                interim,
            },
        );
    }
}

/// Why a client's connection can be used again.
fn verdict(conn: &client::Connection, now: Instant) -> (&'static str, &'static str, &'static str) {
    match conn.reuse(now) {
        client::Reuse::ImmediateOnly => {
            ("only for a request that is made at once", "S2.3", "RFC 2068 §19.7.1")
        }
        _ => ("it can be used again", "S2.1", "RFC 9112 §9.3"),
    }
}

fn fields<'b>(lines: impl Iterator<Item = Line<'b>>) -> Vec<Field> {
    lines
        .map(|line| {
            let pieces: Vec<&[u8]> = line.pieces().collect();
            (line.name.to_vec(), pieces.join(&b' '))
        })
        .collect()
}

/// Whether an account ends badly: in an error, or in the middle of a message.
pub(crate) fn is_bad(entries: &[Entry]) -> bool {
    entries.iter().any(|e| matches!(e.item, Item::Error { .. } | Item::Incomplete { .. }))
}
