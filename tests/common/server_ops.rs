//! An operation list against a server's connection, with everything checked that holds after any call.

use super::{FIELDS, REQUESTS, Seed, at, content_room, declared, piece, room, span};
use core::time::Duration;
use keepalive::server::{Config, Connection, Event, KeepAliveField};
use keepalive::{
    CloseReason, Content, End, Instant, Lost, NO_FIELDS, Part, Persistence, Plan, Prepared,
    RequestFraming, ResponseFraming, ResponseHead, Retire, SendError,
};

#[derive(Clone, Debug)]
pub enum Op {
    Bytes(Vec<u8>),
    Eof,
    Lost(Lost),
    Wait(u64),
    /// To the deadline, and so many microseconds past it (or before it).
    Deadline(i64),
    /// The next operation sees an earlier time.
    Back(u64),
    Expire,
    Read,
    Skip,
    Inform(u16, usize, usize),
    Reply(u16, usize, usize, usize),
    Respond(u16, Content, usize, usize),
    Send(usize, usize),
    Frame(u64),
    Finish(bool, usize),
    Emit(usize, usize),
    Transmit(u64),
    Retire(Retire),
    Abort,
    WriteClosed,
    Bypass(u64),
    Receive(usize),
}

const STATUS: &[u16] = &[
    200, 200, 200, 200, 204, 304, 205, 404, 426, 101, 101, 100, 103, 500, 99, 1000, 408, 417, 999,
    600,
];

/// Reason phrases, good and bad.
const REASONS: &[&str] = &["", "Fine", "a \t\u{e9} ", "a\r\nX: y", "\0"];

pub fn op(seed: Seed) -> Op {
    let [kind, a, b, c, d, _] = seed;
    let status = STATUS[usize::from(a) % STATUS.len()];
    let fields = if b < 128 { 0 } else { usize::from(b) % FIELDS.len() };
    match kind % 40 {
        0..10 => Op::Bytes(piece(REQUESTS, seed)),
        10 if a < 80 => Op::Eof,
        11 if a < 80 => {
            Op::Lost([Lost::Reset, Lost::Write, Lost::Tls, Lost::Truncated][usize::from(b) % 4])
        }
        10..12 => Op::Transmit(u64::MAX),
        12 => Op::Wait(span(a, b)),
        13 => Op::Deadline(i64::from(a as i8)),
        14 => Op::Back(span(a, b)),
        15 => Op::Expire,
        16..18 => Op::Read,
        18 => Op::Skip,
        19 => Op::Inform(status, fields, room(c)),
        20..23 => Op::Reply(status, usize::from(c % 40), fields, room(d)),
        23..26 => Op::Respond(status, declared(c, d), fields, room(seed[5])),
        26..28 => Op::Send(usize::from(a), room(b)),
        28 => Op::Frame(match a {
            0..200 => u64::from(a),
            _ => u64::from(b) << 32,
        }),
        29 | 30 => Op::Finish(a < 100, room(b)),
        31 => Op::Emit(fields, room(c)),
        32 => Op::Transmit(u64::from(a)),
        33 | 34 => Op::Transmit(u64::MAX),
        35 => {
            Op::Retire([Retire::Application, Retire::Drain, Retire::Pressure][usize::from(a) % 3])
        }
        36 if a < 40 => Op::Abort,
        36 => Op::Bypass(u64::from(b)),
        37 => Op::WriteClosed,
        _ => Op::Receive(content_room(a)),
    }
}

pub fn is_proxy(b: u8) -> bool {
    b >= 200
}

/// Settings: mostly the default.
pub fn config(a: u8, b: u8) -> Config {
    let c = if is_proxy(b) { Config::proxy() } else { Config::origin() };
    match a % 18 {
        0 => c.abort_on_eof(true),
        1 => c.connect_waits(true).echo_version(true),
        2 => c.tolerate_coding_with_length(true),
        3 => c.max_requests(u32::from(b % 4)),
        4 => c.idle(Duration::ZERO),
        5 => c.keep_alive_field(KeepAliveField::Always),
        6 => c.keep_alive_field(KeepAliveField::Never),
        7 => c.discard(u32::from(b % 16)),
        8 => c.max_head(100).max_trailers(20).max_target(20).max_fields(2),
        9 => c.request_total(Some(Duration::from_secs(5))).min_rate(Duration::from_secs(1), 1_000),
        10 => c.refuse_empty_host(true).refuse_other_expectations(true),
        11 => c.lifetime(None).min_rate(Duration::ZERO, 0),
        _ => c,
    }
}

/// What the application knows of the request that it was given last.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Inbound {
    Nothing,
    Held,
    Reading,
    Skipped,
    Over,
}

/// What the application knows of the response that it owes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outbound {
    Nothing,
    Owed,
    Length(u64),
    Open(Plan),
    Done,
    Tunnel,
}

#[derive(Clone, Debug)]
pub struct World {
    conn: Connection,
    config: Config,
    rx: Vec<u8>,
    eager: bool,
    t: u64,
    back: u64,
    owed: u64,
    room: usize,
    inbound: Inbound,
    outbound: Outbound,
    method: String,
    http10: bool,
    left: Option<u64>,
    requests: u32,
    failed: bool,
    verdict: Option<CloseReason>,
    /// The present request was said to close the connection.
    closing: Option<CloseReason>,
    end: Option<End>,
    /// `receive` has told all that there is, so that the answers to questions count.
    settled: bool,
}

impl World {
    pub fn new(seed: Seed) -> Self {
        let t = if seed[3] == 0 { u64::MAX - 1_000 } else { u64::from(seed[3]) };
        let config = config(seed[0], seed[1]);
        Self {
            conn: Connection::new(&config, at(t)),
            config,
            rx: Vec::new(),
            eager: seed[2] < 180,
            t,
            back: 0,
            owed: 0,
            room: usize::MAX,
            inbound: Inbound::Nothing,
            outbound: Outbound::Nothing,
            method: String::new(),
            http10: false,
            left: None,
            requests: 0,
            failed: false,
            verdict: None,
            closing: None,
            end: None,
            settled: true,
        }
    }

    fn now(&self) -> Instant {
        at(self.t.saturating_sub(self.back))
    }

    fn expire(&mut self) {
        let now = self.now();
        self.conn.expire(now);
        if let Some(d) = self.conn.deadline() {
            assert!(d.at > now, "still due after expire: {d:?} {:?}", self.conn);
        }
        let before = self.conn.clone();
        self.conn.expire(now);
        assert_eq!(before, self.conn, "expiring twice is harmless");
    }

    /// All that an `Err` promises: nothing changed, and a `Short` tells the truth.
    fn refused(
        &self,
        before: &Connection,
        error: SendError,
        again: impl FnOnce(&mut Connection, &mut [u8]) -> Result<u64, SendError>,
    ) {
        assert_eq!(&self.conn, before, "an error changes nothing: {error:?}");
        if let SendError::Short { needed } = error {
            assert!(needed < 1 << 20, "needs {needed}");
            let mut space = vec![0; needed];
            let written = again(&mut before.clone(), &mut space);
            assert!(written.is_ok_and(|n| n <= needed as u64), "with what is needed it will do");
        }
    }

    pub fn apply(&mut self, op: &Op) {
        let now = self.now();
        let before = self.conn.clone();
        let back = self.back;
        self.settled = false;
        match op {
            Op::Bytes(b) if !self.gone() => self.rx.extend_from_slice(b),
            Op::Bytes(_) => {}
            Op::Eof => self.conn.received_eof(now),
            Op::Lost(how) => self.conn.lost(now, *how),
            Op::Wait(us) => {
                self.t = self.t.saturating_add(*us);
                self.back = 0;
                self.expire();
            }
            Op::Deadline(off) => {
                if let Some(d) = self.conn.deadline() {
                    self.t = self.t.max(d.at.as_micros().saturating_add_signed(*off));
                    self.back = 0;
                    self.expire();
                }
            }
            Op::Back(us) => {
                self.back = *us;
                return;
            }
            Op::Expire => self.expire(),
            Op::Read => {
                self.conn.read_content(now);
                if self.inbound == Inbound::Held {
                    self.inbound = Inbound::Reading;
                }
            }
            Op::Skip => {
                self.conn.skip_content(now);
                if self.conn != before && matches!(self.inbound, Inbound::Held | Inbound::Reading) {
                    self.inbound = Inbound::Skipped;
                }
            }
            Op::Inform(status, fields, room) => {
                let call = |c: &mut Connection, out: &mut [u8]| {
                    c.inform(now, *status, FIELDS[*fields].iter().copied(), out).map(|n| n as u64)
                };
                let mut out = vec![0; *room];
                match call(&mut self.conn, &mut out) {
                    Ok(0) => assert!(self.http10),
                    Ok(n) => {
                        let n = n as usize;
                        let head = ResponseHead::parse(&out[..n], "GET").expect("a head of ours");
                        assert_eq!((head.as_bytes().len(), head.status()), (n, *status));
                        assert!(head.is_interim() && !self.http10);
                        assert_eq!(self.outbound, Outbound::Owed);
                        self.upgrade_option(&head);
                        self.wrote(n as u64);
                    }
                    Err(e) => self.refused(&before, e, call),
                }
            }
            Op::Reply(status, len, fields, room) => {
                let content = vec![b'x'; *len];
                self.prepared(*status, &content, FIELDS[*fields], *room);
                let call = |c: &mut Connection, out: &mut [u8]| {
                    let fields = FIELDS[*fields].iter().copied();
                    c.reply(now, *status, fields, &content, out).map(|n| n as u64)
                };
                let mut out = vec![0; *room];
                match call(&mut self.conn, &mut out) {
                    Ok(n) => {
                        let head = self.began(&out[..n as usize], *status, &before);
                        let rest = n as usize - head;
                        assert!(rest == 0 || rest == *len, "all of the content or none");
                        assert!(
                            matches!(self.outbound, Outbound::Length(l) if l == rest as u64)
                                || rest == 0
                        );
                        if !matches!(self.outbound, Outbound::Tunnel) {
                            self.outbound = Outbound::Done;
                        }
                        self.wrote(n);
                    }
                    Err(e) => self.refused(&before, e, call),
                }
            }
            Op::Respond(status, content, fields, room) => {
                self.reason(*status, *content, FIELDS[*fields], REASONS[*room % REASONS.len()]);
                let call = |c: &mut Connection, out: &mut [u8]| {
                    let fields = FIELDS[*fields].iter().copied();
                    c.respond(now, *status, fields, *content, out)
                };
                let mut out = vec![0; *room];
                match call(&mut self.conn, &mut out) {
                    Ok(started) => {
                        let head = self.began(&out[..started.written], *status, &before);
                        assert_eq!(head, started.written, "a head and nothing behind it");
                        let agreed = match started.plan {
                            Plan::None => {
                                matches!(self.outbound, Outbound::Done | Outbound::Length(0))
                                    || self.method == "HEAD"
                            }
                            Plan::Length(n) => n > 0 && self.outbound == Outbound::Length(n),
                            Plan::Tunnel => self.outbound == Outbound::Tunnel,
                            plan => self.outbound == Outbound::Open(plan),
                        };
                        assert!(agreed, "the head says {:?}, the plan {started:?}", self.outbound);
                        if started.plan == Plan::None {
                            self.outbound = Outbound::Done;
                        }
                        self.wrote(started.written as u64);
                    }
                    Err(e) => {
                        self.refused(&before, e, |c, out| call(c, out).map(|s| s.written as u64));
                    }
                }
            }
            Op::Send(len, room) => {
                let mut out = vec![0; *room];
                match self.conn.send(now, &vec![b'x'; *len], &mut out) {
                    Ok(moved) => {
                        assert!(moved.taken <= *len && moved.written <= *room);
                        self.sent(moved.taken as u64, moved.written as u64);
                    }
                    Err(e) => self.refused(&before, e, |_, _| panic!("send is never short")),
                }
            }
            Op::Frame(len) => match self.conn.frame(now, *len) {
                Ok(frame) => {
                    assert!(frame.content == *len || frame.content == 0 && self.method == "HEAD");
                    self.sent(*len, frame.total());
                }
                Err(e) => self.refused(&before, e, |_, _| panic!("frame is never short")),
            },
            Op::Finish(trailers, room) => {
                let lines = [("T", "1")];
                let lines = if *trailers { &lines[..] } else { &[] };
                let call = |c: &mut Connection, out: &mut [u8]| {
                    c.finish(now, lines.iter().copied(), out).map(|n| n as u64)
                };
                let mut out = vec![0; *room];
                match call(&mut self.conn, &mut out) {
                    Ok(n) => {
                        match self.outbound {
                            Outbound::Open(Plan::Chunked) => assert!(out.starts_with(b"0\r\n")),
                            Outbound::Open(_) | Outbound::Done | Outbound::Nothing => {
                                assert_eq!(n, 0);
                            }
                            other => panic!("finished {other:?}"),
                        }
                        if let Outbound::Open(_) = self.outbound {
                            self.outbound = Outbound::Done;
                        }
                        self.wrote(n);
                    }
                    Err(e) => self.refused(&before, e, call),
                }
            }
            Op::Emit(fields, room) => self.emit(*fields, *room),
            Op::Transmit(n) => {
                let n = if *n == u64::MAX { self.owed } else { *n };
                self.owed = self.owed.saturating_sub(n);
                self.conn.transmitted(now, n);
            }
            Op::Retire(why) => self.conn.retire(now, *why),
            Op::Abort => self.conn.abort(now),
            Op::WriteClosed => {
                let asked = self.conn.wants().end == Some(End::ShutdownWrite);
                self.conn.write_closed(now);
                assert!(asked || self.conn == before, "not asked for, no effect");
            }
            Op::Bypass(n) => {
                let run = self.conn.content_run();
                let n = (*n).min(run);
                // What goes past the machine goes past our buffer too: only when that is empty.
                if self.rx.is_empty() {
                    self.conn.bypassed(now, n);
                    if n == 0 {
                        assert_eq!(self.conn, before, "nothing went past");
                    }
                    if let Some(left) = &mut self.left {
                        *left -= n;
                    }
                }
            }
            Op::Receive(room) => {
                self.room = *room;
                self.receive(*room);
            }
        }
        self.back = 0;
        if self.eager {
            let room = self.room;
            self.receive(room);
            self.emit(0, 4096);
            self.receive(room);
        }
        self.conn.check_follows(&before);
        // Where nothing was due, nothing has become due at once.
        let end = at(self.t);
        let due = |conn: &Connection| conn.deadline().is_some_and(|d| d.at < end);
        assert!(back > 0 || due(&before) || !due(&self.conn), "{op:?}: {:?}", self.conn.deadline());
        self.check();
    }

    /// Fields that were checked before go out as those that are checked now, or as an error.
    fn prepared(&self, status: u16, content: &[u8], fields: &[(&str, &str)], room: usize) {
        let now = self.now();
        let (mut one, mut other) = (self.conn.clone(), self.conn.clone());
        let (mut out, mut same) = (vec![0; room], vec![0; room]);
        let lines = fields.iter().copied();
        match Prepared::<256>::new(lines.clone()) {
            Ok(block) => {
                let written = one.reply(now, status, lines, content, &mut out);
                assert_eq!(other.reply(now, status, &block, content, &mut same), written);
                assert_eq!(one, other);
                let n = written.unwrap_or(0);
                assert_eq!(out[..n], same[..n]);
            }
            // What the machine writes itself may well be among the fields of a call.
            Err(SendError::Invalid(Part::Reserved)) => {}
            Err(error) => {
                let refused = one.reply(now, status, lines, content, &mut [0; 4096]);
                assert!(refused.is_err(), "{error:?}, and sent all the same");
            }
        }
    }

    /// A reason phrase stands in its place, or nothing does.
    fn reason(&self, status: u16, content: Content, fields: &[(&str, &str)], reason: &str) {
        let (now, mut conn) = (self.now(), self.conn.clone());
        let mut out = [0; 4096];
        let lines = fields.iter().copied();
        match conn.respond(now, (status, reason), lines.clone(), content, &mut out) {
            Ok(started) => {
                let mut heads = &out[..started.written];
                let mut head = ResponseHead::parse(heads, &self.method).expect("a head of ours");
                if head.status() == 100 {
                    heads = &heads[head.as_bytes().len()..];
                    head = ResponseHead::parse(heads, &self.method).expect("a head of ours");
                }
                assert_eq!(head.as_bytes().len(), heads.len(), "one line, and no more of them");
                assert_eq!((head.status(), head.reason()), (status, reason.as_bytes()));
            }
            Err(error) => {
                assert_eq!(conn, self.conn, "an error changes nothing: {error:?}");
                let usual = conn.respond(now, status, lines, content, &mut out);
                let bad = error == SendError::Invalid(Part::Reason);
                assert!(usual == Err(error) || bad && reason.contains(char::is_control));
            }
        }
    }

    /// What fits, fits, with the end of the content behind it; and one octet more does not.
    fn fits(&self) {
        let now = self.now();
        let sent = |len: usize, out: usize| {
            let (mut conn, mut space) = (self.conn.clone(), vec![0; out]);
            let moved = conn.send(now, &vec![b'x'; len], &mut space).expect("content that is open");
            let open = matches!(self.outbound, Outbound::Open(_));
            let rest = &mut space[moved.written..];
            moved.taken == len && (!open || conn.finish(now, NO_FIELDS, rest).is_ok())
        };
        for out in [0, 7, 40, 300] {
            let room = self.conn.fits(out);
            let whole = match self.outbound {
                Outbound::Length(left) => usize::try_from(left).unwrap_or(usize::MAX),
                Outbound::Open(_) => usize::MAX,
                _ => break,
            };
            if self.conn.wants().content {
                assert!(room == 0 || sent(room.min(whole), out), "{room} do not fit into {out}");
                assert!(room >= whole || !sent(room + 1, out), "more than {room} fit into {out}");
            }
        }
        // Where output waits, there is room for a request only if there is room for a head.
        if self.outbound == Outbound::Done && self.owed > 0 {
            let room = |out| self.conn.fits(out);
            assert_eq!((room(Connection::HEAD_ROOM), room(Connection::HEAD_ROOM + 1)), (0, 1));
        }
    }

    /// Nothing that the peer sends matters any more.
    fn gone(&self) -> bool {
        matches!(self.end, Some(End::Close(_) | End::Abort(_) | End::Tunnel))
    }

    fn wrote(&mut self, n: u64) {
        if n > 0 {
            assert!(!self.gone(), "written after the end: {:?}", self.conn);
        }
        self.owed = self.owed.saturating_add(n);
    }

    fn upgrade_option(&self, head: &ResponseHead<'_>) {
        if head.field("upgrade").is_some() {
            assert!(says(head, b"upgrade"), "Upgrade without the option: {head:?}");
        }
    }

    /// A final head was written, behind a 100 perhaps. Returns the length of both, and notes what the
    /// head promises.
    fn began(&mut self, out: &[u8], status: u16, before: &Connection) -> usize {
        assert_eq!(self.outbound, Outbound::Owed, "a response that nobody owed");
        let mut skip = 0;
        // A 101 may stand behind a 100 that was not due (RFC 9110 §7.8).
        let first = ResponseHead::parse(out, &self.method).expect("a head of ours");
        if before.wants().emit || status == 101 && first.status() == 100 {
            assert_eq!(first.status(), 100, "the 100 that was due");
            skip = first.as_bytes().len();
        }
        let head = ResponseHead::parse(&out[skip..], &self.method).expect("a head of ours");
        assert_eq!(head.status(), status);
        self.outbound = match head.framing() {
            ResponseFraming::None | ResponseFraming::Length(0) => Outbound::Done,
            ResponseFraming::Length(n) => Outbound::Length(n),
            ResponseFraming::Chunked => Outbound::Open(Plan::Chunked),
            ResponseFraming::UntilClose => Outbound::Open(Plan::UntilClose),
            ResponseFraming::Tunnel => Outbound::Tunnel,
        };
        match head.framing() {
            ResponseFraming::Chunked => assert!(!self.http10, "chunked to 1.0"),
            ResponseFraming::UntilClose => assert!(self.http10, "not chunked to 1.1"),
            _ => {}
        }
        let option = |name: &[u8]| says(&head, name);
        let persistence = self.conn.persistence();
        if head.framing() != ResponseFraming::Tunnel {
            self.upgrade_option(&head);
            // What was already over when the head went out is announced; what is written is kept.
            let tunnel = persistence == Persistence::Close(CloseReason::Tunnel);
            if option(b"close") {
                assert!(!persistence.persists() && !tunnel, "announced, and persists");
                assert!(head.field("keep-alive").is_none());
            } else if self.http10 {
                assert!(option(b"keep-alive"), "a 1.0 client must be told: {head:?}");
            }
            if persistence.persists() {
                assert!(!option(b"close"));
            }
        }
        if let Persistence::Close(reason) = persistence
            && (option(b"close") || head.framing() == ResponseFraming::Tunnel)
        {
            self.verdict = Some(reason);
        }
        // Content that nobody asked for is not delivered any more.
        if self.inbound == Inbound::Held {
            self.inbound = Inbound::Skipped;
        }
        skip + head.as_bytes().len()
    }

    fn sent(&mut self, taken: u64, written: u64) {
        match &mut self.outbound {
            Outbound::Length(left) => {
                assert!(taken <= *left && written == taken, "more than was declared");
                *left -= taken;
                if *left == 0 {
                    self.outbound = Outbound::Done;
                }
            }
            Outbound::Open(Plan::UntilClose) => assert_eq!(taken, written),
            Outbound::Open(_) if taken > 0 => assert!(written >= taken.saturating_add(5)),
            Outbound::Done if self.method == "HEAD" => assert_eq!(written, 0),
            _ => assert_eq!((taken, written), (0, 0), "{:?}", self.outbound),
        }
        self.wrote(written);
    }

    fn emit(&mut self, fields: usize, room: usize) {
        let (now, before) = (self.now(), self.conn.clone());
        let call = |c: &mut Connection, out: &mut [u8]| {
            c.emit_with(now, FIELDS[fields].iter().copied(), out).map(|n| n as u64)
        };
        let mut out = vec![0; room];
        if FIELDS[fields].is_empty() {
            let (mut one, mut other) = (before.clone(), before.clone());
            let (mut plain, mut with) = (out.clone(), out.clone());
            let written = one.emit(now, &mut plain).map(|n| n as u64);
            assert_eq!(written, call(&mut other, &mut with));
            assert_eq!((one, plain), (other, with), "emit, and emit_with without fields");
        }
        match call(&mut self.conn, &mut out) {
            Ok(0) => assert!(!before.wants().emit, "there was something to say"),
            Ok(n) => {
                assert!(before.wants().emit, "nothing was wanted");
                let head = ResponseHead::parse(&out[..n as usize], &self.method).expect("ours");
                assert_eq!(head.as_bytes().len() as u64, n);
                self.upgrade_option(&head);
                if !head.is_interim() {
                    assert!(says(&head, b"close"), "the machine's own response closes");
                    assert!(!self.conn.persistence().persists());
                    self.outbound = Outbound::Done;
                } else {
                    assert!(!self.http10 && self.outbound == Outbound::Owed);
                }
                self.wrote(n);
            }
            Err(e) => {
                assert!(fields > 1 || room < Connection::EMIT_ROOM, "EMIT_ROOM is enough");
                self.refused(&before, e, call);
            }
        }
    }

    fn receive(&mut self, room: usize) {
        let now = self.now();
        for _ in 0..200_000 {
            let rx = std::mem::take(&mut self.rx);
            let before = self.conn.clone();
            let step = self.conn.receive(now, &rx, room);
            assert!(step.consumed <= rx.len());
            self.conn.check_follows(&before);
            match step.event {
                None => {
                    self.rx = rx[step.consumed..].to_vec();
                    let full = self.rx.len() >= self.config.receive_buffer();
                    let reads = self.conn.wants().read;
                    assert!(room == 0 || !reads || !full, "wants more than its buffer holds");
                    let before = self.conn.clone();
                    let again = self.conn.receive(now, &self.rx, room);
                    assert!(again.consumed == 0 && again.event.is_none(), "None is a fixed point");
                    assert_eq!(self.conn, before, "None is a fixed point");
                    self.settled = true;
                    return;
                }
                Some(event) => self.event(event, room),
            }
            self.rx = rx[step.consumed..].to_vec();
            self.check();
        }
        panic!("events without end");
    }

    fn event(&mut self, event: Event<'_>, room: usize) {
        match event {
            Event::Request(head) => {
                assert!(!self.failed, "a request after a failure");
                assert!(room > 0, "a request, and no room");
                assert!(!self.gone() && self.end.is_none());
                assert!(
                    matches!(self.outbound, Outbound::Nothing | Outbound::Done),
                    "a request, and the last is unanswered: {:?}",
                    self.outbound
                );
                assert!(
                    matches!(self.inbound, Inbound::Nothing | Inbound::Over | Inbound::Skipped),
                    "a request, and the end of the last was not told: {:?}",
                    self.inbound
                );
                assert_eq!(self.verdict, None, "a request after the verdict");
                self.requests += 1;
                self.closing = None;
                self.method = head.method().to_owned();
                self.http10 = head.version().minor() == 0;
                self.left = match head.framing() {
                    RequestFraming::None => Some(0),
                    RequestFraming::Length(n) => Some(n),
                    RequestFraming::Chunked => None,
                };
                self.outbound = Outbound::Owed;
                self.inbound = if head.has_content() { Inbound::Held } else { Inbound::Reading };
            }
            Event::Content(content) => {
                assert_eq!(self.inbound, Inbound::Reading, "content that nobody asked for");
                assert!(!content.is_empty() && content.len() <= room);
                if let Some(left) = &mut self.left {
                    *left = left.checked_sub(content.len() as u64).expect("no more than declared");
                }
            }
            Event::End(_) => {
                assert_eq!(self.inbound, Inbound::Reading, "an end that nobody waits for");
                assert!(self.left.is_none_or(|left| left == 0), "ended early");
                self.inbound = Inbound::Over;
            }
            Event::Failed(_) => {
                assert!(!self.failed, "failed twice");
                assert!(
                    !matches!(self.inbound, Inbound::Over | Inbound::Skipped)
                        || self.outbound != Outbound::Owed
                        || matches!(self.conn.wants().end, Some(End::Abort(_))),
                    "failed, and it was whole: {:?}",
                    self.inbound
                );
                self.failed = true;
                self.inbound = Inbound::Over;
                // Whatever is to be said about it, the machine says.
                if self.outbound == Outbound::Owed {
                    self.outbound = Outbound::Done;
                }
                assert!(!self.conn.persistence().persists(), "failed, and persists");
            }
        }
    }

    fn check(&mut self) {
        let conn = &self.conn;
        conn.check_invariants();
        let wants = conn.wants();
        assert_eq!(wants, conn.wants());
        assert_eq!(conn.deadline(), conn.deadline());
        assert_eq!(conn.requests(), self.requests);
        assert!(!(wants.read && wants.emit), "read while something is to be said");
        if let Some(End::Abort(_)) = wants.end {
            assert_eq!(conn.deadline(), None, "a deadline outlived the abort");
            assert!(!wants.read && !wants.emit && !wants.head && !wants.content);
            self.owed = 0;
        } else {
            assert_eq!(conn.untransmitted(), self.owed);
        }
        // What is wanted can be done.
        let mut out = [0; 4096];
        if wants.head {
            assert!(conn.clone().reply(self.now(), 200, NO_FIELDS, b"", &mut out).is_ok());
        }
        if wants.emit {
            assert!(matches!(conn.clone().emit(self.now(), &mut out), Ok(n) if n > 0));
        }
        self.fits();
        if wants.content {
            assert!(conn.clone().send(self.now(), b"x", &mut out).is_ok_and(|m| m.taken == 1));
        }
        // Persistence is decided for each request anew (S1.2), and by what it leaves unread (S1.3-14).
        let persistence = conn.persistence();
        if let Persistence::Close(
            CloseReason::Http10 | CloseReason::Http10AtProxy | CloseReason::BlindRelay,
        ) = persistence
        {
            assert!(self.http10, "a reason of another request");
        }
        let chunked = self.inbound == Inbound::Reading && self.left.is_none();
        if self.settled && chunked && self.outbound == Outbound::Done {
            assert!(!persistence.persists(), "answered, and content without an end to come");
        }
        // Persistence is monotone: for each request, and once it is announced with one reason.
        match persistence {
            // What the peer sent before it closed may yet come to light.
            Persistence::Close(CloseReason::PeerClosed) => {}
            Persistence::Close(reason) => {
                let old = self.closing.replace(reason).unwrap_or(reason);
                assert!(may_become(old, reason), "{old:?} became {reason:?}: {conn:?}");
            }
            Persistence::Persist { .. } => {
                assert_eq!(self.closing, None, "a close was taken back: {conn:?}");
            }
        }
        if let Some(reason) = self.verdict {
            assert_eq!(persistence, Persistence::Close(reason), "the verdict changed");
        }
        if let Some(end) = wants.end {
            if end != End::Tunnel {
                assert!(!persistence.persists(), "ends, and persists");
            }
            if let End::Close(reason) = end {
                assert_eq!(persistence, Persistence::Close(reason), "one reason");
            }
            if let Persistence::Close(reason) = persistence {
                self.verdict = Some(reason);
            }
        }
        match (self.end, wants.end) {
            (Some(End::ShutdownWrite), _) | (None, _) => {}
            (Some(was), is) => assert_eq!(Some(was), is, "the end is final"),
        }
        if self.settled {
            self.end = wants.end;
        }
    }

    /// The peer goes on sending, and reads nothing. With the room that `fits` what is left of the space for
    /// output, what waits never exceeds that space.
    pub fn starve(mut self) {
        (self.back, self.eager) = (0, false);
        let space = self.owed.saturating_add(SPACE as u64);
        if !self.gone() {
            self.rx.extend(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(60));
        }
        for _ in 0..300 {
            let before = (self.conn.clone(), self.rx.len());
            let left = |world: &Self| (space - world.owed).min(SPACE as u64) as usize;
            self.receive(self.conn.fits(left(&self)));
            self.emit(0, 4096);
            self.apply(&Op::Read);
            if self.conn.wants().head {
                let len = if self.method == "CONNECT" { 0 } else { 2 };
                self.apply(&Op::Reply(200, len, 0, 4096));
            }
            if self.conn.wants().content {
                let fits = self.conn.fits(left(&self)) as u64;
                match self.outbound {
                    Outbound::Length(n) => self.apply(&Op::Frame(n.min(fits))),
                    Outbound::Open(_) if fits > 0 => self.apply(&Op::Finish(false, 4096)),
                    _ => {}
                }
            }
            assert!(self.owed <= space, "{} octets wait, in {space}: {:?}", self.owed, self.conn);
            match self.conn.wants().end {
                Some(End::ShutdownWrite) => self.apply(&Op::WriteClosed),
                Some(_) => return,
                None => {}
            }
            if (&self.conn, self.rx.len()) == (&before.0, before.1) {
                let Some(d) = self.conn.deadline() else { return };
                self.t = self.t.max(d.at.as_micros());
                self.expire();
            }
        }
    }

    /// The application answers everything, and the peer says nothing more: the connection comes to
    /// an end by itself.
    pub fn conclude(mut self, eof: bool, takes: bool, reads: u8) {
        self.back = 0;
        if eof && !self.gone() {
            self.conn.received_eof(self.now());
        }
        let mut quiet = 0;
        for _ in 0..4_000 {
            let before = (self.conn.clone(), self.rx.len());
            self.receive(usize::MAX);
            match reads % 3 {
                0 => self.apply(&Op::Read),
                1 => self.apply(&Op::Skip),
                _ => {}
            }
            self.receive(usize::MAX);
            self.emit(0, 4096);
            self.receive(usize::MAX);
            if self.conn.wants().head {
                let len = if self.method == "CONNECT" { 0 } else { 2 };
                self.apply(&Op::Reply(200, len, 0, 4096));
            }
            match self.outbound {
                Outbound::Length(left) if self.conn.wants().content => self.apply(&Op::Frame(left)),
                Outbound::Open(_) if self.conn.wants().content => {
                    self.apply(&Op::Finish(false, 4096));
                }
                _ => {}
            }
            self.receive(usize::MAX);
            self.emit(0, 4096);
            if takes {
                self.apply(&Op::Transmit(u64::MAX));
            }
            self.receive(usize::MAX);
            match self.conn.wants().end {
                Some(End::ShutdownWrite) => self.apply(&Op::WriteClosed),
                Some(_) => return,
                None => {}
            }
            if (&self.conn, self.rx.len()) == (&before.0, before.1) {
                quiet += 1;
                assert!(quiet < 64, "timers without end: {:?}", self.conn);
                let Some(d) = self.conn.deadline() else {
                    panic!("nothing will ever happen: {:?}", self.conn)
                };
                self.t = self.t.max(d.at.as_micros());
                self.expire();
                self.check();
            }
        }
        panic!("no end: {:?}", self.conn);
    }
}

/// Output that a peer which reads nothing may cost, besides what it has cost before.
const SPACE: usize = 2 * Connection::HEAD_ROOM;

/// Before the verdict falls, a fact that stands further up in the table (S1.3) is the reason, once it is
/// known; and what ends the exchange on the spot is one at any time.
fn may_become(old: CloseReason, new: CloseReason) -> bool {
    use CloseReason as R;
    let place = |reason| R::ALL.iter().position(|&r| r == reason);
    place(new) <= place(old) || place(new) >= place(R::ResponseFailed) || new == R::UnreadContent
}

/// Whether a connection option is there.
fn says(head: &ResponseHead<'_>, option: &[u8]) -> bool {
    head.fields()
        .all("connection")
        .any(|v| v.split(|&b| b == b',').any(|o| o.trim_ascii().eq_ignore_ascii_case(option)))
}

/// The whole property.
pub fn run(head: Seed, ops: &[Op]) {
    let mut world = World::new(head);
    for op in ops {
        world.apply(op);
    }
    for (eof, takes) in [(true, true), (false, true), (false, false)] {
        world.clone().conclude(eof, takes, head[4]);
    }
    world.starve();
}
