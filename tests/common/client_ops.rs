//! An operation list against a client's connection, with everything checked that holds after any call.

use super::{FIELDS, RESPONSES, Seed, at, content_room, declared, piece, room, span};
use core::time::Duration;
use keepalive::client::{Config, Connection, Event, Reuse};
use keepalive::{
    CloseReason, Content, End, Instant, Io, Lost, Persistence, Plan, RequestFraming, RequestHead,
    ResponseFraming, Retire, SendError, Timer, Verdict,
};

#[derive(Clone, Debug)]
pub enum Op {
    Bytes(Vec<u8>),
    Eof,
    Lost(Lost),
    Wait(u64),
    Deadline(i64),
    Back(u64),
    Expire,
    Request { method: usize, target: usize, content: Content, fields: usize, room: usize },
    Send(usize, usize),
    Frame(u64),
    Finish(bool, usize),
    Transmit(u64),
    Skip,
    Retire(Retire),
    Abort,
    WriteClosed,
    Bypass(u64),
    Checkout(Io),
    Receive(usize),
}

const METHODS: &[&str] = &[
    "GET", "GET", "GET", "POST", "POST", "PUT", "HEAD", "CONNECT", "OPTIONS", "DELETE", "G T", "",
];
const TARGETS: &[&str] = &["/", "/", "/x?y", "a:1", "*", "http://b/", "/ x", "", "/\r\nX: y"];

pub fn op(seed: Seed) -> Op {
    let [kind, a, b, c, d, e] = seed;
    match kind % 36 {
        0..10 => Op::Bytes(piece(RESPONSES, seed)),
        10 if a < 50 => Op::Eof,
        11 if a < 60 => {
            Op::Lost([Lost::Reset, Lost::Write, Lost::Tls, Lost::Truncated][usize::from(b) % 4])
        }
        10..12 => Op::Transmit(u64::MAX),
        12 => Op::Wait(span(a, b)),
        13 => Op::Deadline(i64::from(a as i8)),
        14 => Op::Back(span(a, b)),
        15 => Op::Expire,
        16..21 => Op::Request {
            method: usize::from(a) % METHODS.len(),
            target: match a as usize % METHODS.len() {
                7 => 3,
                _ if b < 200 => 0,
                _ => usize::from(b) % TARGETS.len(),
            },
            content: if b % 2 == 0 { Content::None } else { declared(c, d) },
            fields: if c < 160 { 0 } else { usize::from(c) % FIELDS.len() },
            room: room(e),
        },
        21 => Op::Send(usize::from(a), room(b)),
        22 => Op::Frame(match a {
            0..200 => u64::from(a),
            _ => u64::from(b) << 32,
        }),
        23 => Op::Finish(a < 100, room(b)),
        24 => Op::Transmit(u64::from(a)),
        25 | 26 => Op::Transmit(u64::MAX),
        27 => Op::Skip,
        28 if a < 100 => {
            Op::Retire([Retire::Application, Retire::Drain, Retire::Pressure][usize::from(a) % 3])
        }
        29 if a < 40 => Op::Abort,
        28 | 29 => Op::Bypass(u64::from(b)),
        30 if a < 100 => Op::WriteClosed,
        30..33 => Op::Checkout(match a {
            0..10 => Io::Done(0),
            10..15 => Io::Lost(Lost::Reset),
            15..20 => Io::Lost(Lost::Truncated),
            20..25 => Io::Lost(Lost::Write),
            _ => Io::Nothing,
        }),
        _ => Op::Receive(content_room(a)),
    }
}

pub fn config(a: u8, b: u8) -> Config {
    let c = if b < 200 { Config::direct() } else { Config::to_proxy() };
    let c = c.pipeline(b % 2 == 0);
    match a % 20 {
        0 => c.tolerate_coding_with_length(true).raw_codings(true),
        1 => c.accept_bare_lf(true).unfold(true),
        2 => c.strict_keep_alive(true),
        3 => c.http10(true),
        4 => c.one_shot(true),
        5 => c.gateway(true).retry_fresh(true).doubt_close(true),
        6 => c.discard(4, Duration::from_secs(1)).early_finish(8),
        7 => c.max_head(60).max_trailers(20).max_fields(2),
        8 => c.lifetime(Some(Duration::from_secs(9))),
        9 => c.idle(Duration::ZERO),
        10 => c.margin(Duration::ZERO).timeout_cap(Duration::from_secs(2)),
        _ => c,
    }
}

/// A request made, as the caller remembers it.
#[derive(Clone, Debug, PartialEq)]
struct Sent {
    /// Where it begins in all that was written.
    from: u64,
    method: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Inbound {
    Head,
    Content(Option<u64>),
    Skipped,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Outbound {
    Nothing,
    Length(u64),
    Chunked,
}

#[derive(Clone, Debug)]
pub struct World {
    conn: Connection,
    config: Config,
    rx: Vec<u8>,
    eager: bool,
    t: u64,
    back: u64,
    written: u64,
    transmitted: u64,
    room: usize,
    sent: Vec<Sent>,
    inbound: Inbound,
    outbound: Outbound,
    used: bool,
    write_lost: bool,
    aborted: bool,
    failed: bool,
    verdict: Option<CloseReason>,
    /// The connection was said to close.
    closing: bool,
    end: Option<End>,
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
            written: 0,
            transmitted: 0,
            room: usize::MAX,
            sent: Vec::new(),
            inbound: Inbound::Head,
            outbound: Outbound::Nothing,
            used: false,
            write_lost: false,
            aborted: false,
            failed: false,
            verdict: None,
            closing: false,
            end: None,
        }
    }

    fn now(&self) -> Instant {
        at(self.t.saturating_sub(self.back))
    }

    fn gone(&self) -> bool {
        matches!(self.end, Some(End::Close(_) | End::Abort(_) | End::Tunnel))
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

    fn wrote(&mut self, n: u64) {
        if n > 0 {
            assert!(!self.gone(), "written after the end: {:?}", self.conn);
            assert!(!self.write_lost, "written after a failed write");
        }
        self.written = self.written.saturating_add(n);
    }

    pub fn apply(&mut self, op: &Op) {
        let now = self.now();
        let before = self.conn.clone();
        let back = self.back;
        match op {
            Op::Bytes(b) if !self.gone() => self.rx.extend_from_slice(b),
            Op::Bytes(_) => {}
            Op::Eof => self.conn.received_eof(now),
            Op::Lost(how) => self.lost(*how),
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
            Op::Request { method, target, content, fields, room } => {
                let (method, target) = (METHODS[*method], TARGETS[*target]);
                let host = [("Host", "a")];
                let call = |c: &mut Connection, out: &mut [u8]| {
                    let fields = host.iter().chain(FIELDS[*fields]).copied();
                    c.request(now, method, target, fields, *content, out)
                };
                let mut out = vec![0; *room];
                match call(&mut self.conn, &mut out) {
                    Ok(started) => {
                        let head = RequestHead::parse(&out[..started.written]).expect("ours");
                        assert_eq!(head.as_bytes().len(), started.written, "one head");
                        assert_eq!((head.method(), head.target()), (method, target.as_bytes()));
                        let plan = match head.framing() {
                            RequestFraming::None | RequestFraming::Length(0) => Plan::None,
                            RequestFraming::Length(n) => Plan::Length(n),
                            RequestFraming::Chunked => Plan::Chunked,
                        };
                        assert_eq!(started.plan, plan);
                        assert!(self.sent.is_empty() || content == &Content::None, "pipelined");
                        assert_eq!(self.outbound, Outbound::Nothing, "the last is not written");
                        self.outbound = match plan {
                            Plan::Length(n) => Outbound::Length(n),
                            Plan::Chunked => Outbound::Chunked,
                            _ => Outbound::Nothing,
                        };
                        self.sent.push(Sent { from: self.written, method });
                        self.used = true;
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
                        self.sent(moved.taken as u64, moved.written as u64, &before);
                    }
                    Err(e) => self.refused(&before, e, |_, _| panic!("send is never short")),
                }
            }
            Op::Frame(len) => match self.conn.frame(now, *len) {
                Ok(frame) => {
                    assert_eq!(frame.content, *len);
                    self.sent(*len, frame.total(), &before);
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
                            Outbound::Chunked => assert!(out.starts_with(b"0\r\n")),
                            Outbound::Nothing => assert_eq!(n, 0),
                            Outbound::Length(_) => panic!("finished, and content is missing"),
                        }
                        self.outbound = Outbound::Nothing;
                        self.wrote(n);
                    }
                    Err(e) => self.refused(&before, e, call),
                }
            }
            Op::Transmit(n) => {
                let owed = self.written - self.transmitted;
                if !self.write_lost && !matches!(self.end, Some(End::Abort(_))) {
                    self.transmitted += owed.min(*n);
                    self.conn.transmitted(now, *n);
                }
            }
            Op::Skip => {
                self.conn.skip_content(now);
                if self.conn != before
                    && let Inbound::Content(_) = self.inbound
                {
                    self.inbound = Inbound::Skipped;
                }
            }
            Op::Retire(why) => self.conn.retire(now, *why),
            Op::Abort => {
                self.conn.abort(now);
                self.aborted = true;
            }
            Op::WriteClosed => {
                self.conn.write_closed(now);
                assert_eq!(self.conn, before, "without effect on a client");
            }
            Op::Bypass(n) => {
                let run = self.conn.content_run();
                let n = (*n).min(run);
                if self.rx.is_empty() {
                    self.conn.bypassed(now, n);
                    if n == 0 {
                        assert_eq!(self.conn, before, "nothing went past");
                    }
                    if let Inbound::Content(Some(left)) = &mut self.inbound {
                        *left -= n;
                    }
                }
            }
            Op::Checkout(read) => {
                if let Io::Lost(Lost::Write) = read {
                    self.write_lost = true;
                }
                let reuse = self.conn.checkout(now, *read, &self.rx);
                if matches!(reuse, Reuse::Ready { .. } | Reuse::ImmediateOnly) {
                    assert!(self.rx.iter().all(|b| b"\r\n".contains(b)), "dropped {:?}", self.rx);
                    assert!(self.outbound == Outbound::Nothing && self.sent.is_empty());
                    assert_eq!(self.written, self.transmitted, "the request is not yet out");
                    self.rx.clear();
                    let mut out = [0; 200];
                    let done = self.conn.clone().request(
                        now,
                        "GET",
                        "/",
                        [("Host", "a")],
                        Content::None,
                        &mut out,
                    );
                    assert!(done.is_ok(), "checked out, and refused: {done:?}");
                } else if reuse == Reuse::Busy {
                    let again = self.conn.clone().checkout(now, Io::Nothing, &self.rx);
                    assert_eq!(again, reuse);
                }
            }
            Op::Receive(room) => {
                self.room = *room;
                self.receive(*room);
            }
        }
        self.back = 0;
        if self.eager {
            self.receive(self.room);
        }
        self.conn.check_follows(&before);
        // Where nothing was due, nothing has become due at once.
        let end = at(self.t);
        let due = |conn: &Connection| conn.deadline().is_some_and(|d| d.at < end);
        assert!(back > 0 || due(&before) || !due(&self.conn), "{op:?}: {:?}", self.conn.deadline());
        self.check();
    }

    fn lost(&mut self, how: Lost) {
        self.conn.lost(self.now(), how);
        if how == Lost::Write {
            self.write_lost = true;
            if let Some(d) = self.conn.deadline() {
                assert_ne!(d.timer, Timer::WriteStall, "nothing is written any more");
            }
        }
    }

    fn sent(&mut self, taken: u64, written: u64, before: &Connection) {
        assert!(written == 0 || before.wants().content, "sent, and not wanted");
        match &mut self.outbound {
            Outbound::Length(left) => {
                assert!(taken <= *left && written == taken, "more than was declared");
                *left -= taken;
                if *left == 0 {
                    self.outbound = Outbound::Nothing;
                }
            }
            Outbound::Chunked if taken > 0 => assert!(written >= taken.saturating_add(5)),
            _ => assert_eq!((taken, written), (0, 0)),
        }
        self.wrote(written);
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
        assert!(!self.failed, "an event after the failure: {event:?}");
        // A response that was skipped is over without an event.
        if self.inbound == Inbound::Skipped && !matches!(event, Event::Failed(_)) {
            self.inbound = Inbound::Head;
            self.sent.remove(0);
        }
        match event {
            Event::Interim(head) => {
                assert!(self.inbound == Inbound::Head && head.is_interim() && room > 0);
                self.begun();
                if head.status() == 100 && self.outbound != Outbound::Nothing {
                    let wants = self.conn.wants();
                    assert!(wants.content || self.write_lost, "a 100, and nothing may be sent");
                }
            }
            Event::Response(head) => {
                assert!(self.inbound == Inbound::Head && !head.is_interim() && room > 0);
                self.begun();
                self.inbound = Inbound::Content(match head.framing() {
                    ResponseFraming::None | ResponseFraming::Tunnel => Some(0),
                    ResponseFraming::Length(n) => Some(n),
                    ResponseFraming::Chunked | ResponseFraming::UntilClose => None,
                });
            }
            Event::Content(content) => {
                assert!(!content.is_empty() && content.len() <= room);
                let Inbound::Content(left) = &mut self.inbound else { panic!("content of what?") };
                if let Some(left) = left {
                    *left = left.checked_sub(content.len() as u64).expect("no more than declared");
                }
            }
            Event::End(_) => {
                let Inbound::Content(left) = self.inbound else { panic!("the end of what?") };
                assert!(left.is_none_or(|left| left == 0), "ended early");
                self.inbound = Inbound::Head;
                self.sent.remove(0);
            }
            Event::Failed(_) => {
                assert!(self.conn.outstanding() > 0, "failed, and nothing is unanswered");
                assert!(!self.conn.persistence().persists());
                self.failed = true;
            }
        }
    }

    /// A response to a request of which nothing was transmitted is none.
    fn begun(&self) {
        let oldest = self.sent.first().expect("a response, and nothing is unanswered");
        assert!(self.transmitted > oldest.from, "answered before it was sent");
    }

    fn check(&mut self) {
        let conn = &self.conn;
        conn.check_invariants();
        let wants = conn.wants();
        assert_eq!(wants, conn.wants());
        assert_eq!(conn.deadline(), conn.deadline());
        assert!(!wants.emit);
        // A response that is skipped goes away when it is over, without an event.
        if self.inbound == Inbound::Skipped && conn.outstanding() < self.sent.len() {
            self.inbound = Inbound::Head;
            self.sent.remove(0);
        }
        assert_eq!(conn.outstanding(), self.sent.len());
        if let Some(End::Abort(_)) = wants.end {
            assert_eq!(conn.deadline(), None, "a deadline outlived the abort");
            assert!(!wants.read && !wants.head && !wants.content);
        } else {
            assert_eq!(conn.untransmitted(), self.written - self.transmitted);
        }
        if self.write_lost
            && let Some(d) = conn.deadline()
        {
            assert_ne!(d.timer, Timer::WriteStall, "nothing is written any more");
        }
        // Retry verdicts rest on what was transmitted.
        for nth in 0..6 {
            let retry = conn.retry(nth);
            assert_eq!(retry.is_some(), nth < self.sent.len());
            if let Some(retry) = retry {
                let nothing_sent = self.transmitted <= self.sent[nth].from;
                let says = retry.reason() == "nothing of it was sent";
                assert_eq!(says, nothing_sent, "{retry:?} of the request at {:?}", self.sent[nth]);
                if nothing_sent {
                    assert_eq!(retry.verdict, Verdict::Safe);
                }
                if retry.verdict == Verdict::No {
                    assert!(!retry.allows(true) && !retry.allows_idempotent(true));
                }
                assert!(!retry.allows(false));
            }
        }
        // What is wanted can be done.
        let now = self.now();
        let mut out = [0; 200];
        if wants.content {
            assert!(conn.clone().send(now, b"x", &mut out).is_ok_and(|m| m.taken == 1));
        } else if let Ok(moved) = conn.clone().send(now, b"x", &mut out) {
            assert_eq!(moved.written, 0);
        }
        let reuse = conn.reuse(now);
        match reuse {
            Reuse::Ready { .. } | Reuse::ImmediateOnly => {
                assert!(self.sent.is_empty() && self.outbound == Outbound::Nothing);
                assert!(conn.persistence().persists() && wants.end.is_none(), "ready, and closing");
                if self.rx.is_empty() {
                    let checked = conn.clone().checkout(now, Io::Nothing, b"");
                    assert_eq!(checked, reuse, "checkout has nothing against it");
                }
            }
            Reuse::No(reason) => {
                if let Persistence::Close(said) = conn.persistence() {
                    assert!(said == reason || wants.end.is_some(), "{said:?} {reason:?}");
                }
                // `wants` knows no time: it is wrong until `expire` is called.
                let due = conn.deadline().is_some_and(|d| d.at <= now);
                assert!(!wants.head || due, "wanted, and not ready");
            }
            Reuse::Busy => assert!(!wants.head),
            Reuse::Unchecked => {}
        }
        // Persistence is monotone: a close is not taken back, and once it is decided has one reason.
        let persistence = conn.persistence();
        match persistence {
            Persistence::Close(_) => self.closing = true,
            Persistence::Persist { .. } => {
                assert!(!self.closing, "a close was taken back: {conn:?}")
            }
        }
        if let Some(reason) = self.verdict {
            let refined = (reason, CloseReason::Idle408);
            let fits = persistence == Persistence::Close(reason)
                || refined == (CloseReason::Surplus, CloseReason::Idle408)
                    && persistence == Persistence::Close(CloseReason::Idle408);
            assert!(fits, "the verdict changed from {reason:?} to {persistence:?}");
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
        let refined =
            (Some(End::Close(CloseReason::Surplus)), Some(End::Close(CloseReason::Idle408)));
        if self.end.is_some() && (self.end, wants.end) != refined {
            assert_eq!(self.end, wants.end, "the end is final");
        }
        self.end = wants.end;
    }

    /// The application sends all that it declared and makes no further request: the connection comes
    /// to an end, or rests unused.
    pub fn conclude(mut self, eof: bool, takes: bool, skips: bool) {
        self.back = 0;
        if eof && !self.gone() {
            self.conn.received_eof(self.now());
        }
        let mut quiet = 0;
        for _ in 0..4_000 {
            let before = (self.conn.clone(), self.rx.len());
            self.receive(usize::MAX);
            self.check();
            if skips {
                self.apply(&Op::Skip);
            }
            if self.conn.wants().content {
                match self.outbound {
                    Outbound::Length(left) => self.apply(&Op::Frame(left)),
                    Outbound::Chunked => self.apply(&Op::Finish(false, 4096)),
                    Outbound::Nothing => panic!("wants content, and has it all"),
                }
            }
            if takes {
                self.apply(&Op::Transmit(u64::MAX));
            }
            self.receive(usize::MAX);
            self.check();
            if self.conn.wants().end.is_some() {
                return;
            }
            if (&self.conn, self.rx.len()) == (&before.0, before.1) {
                quiet += 1;
                assert!(quiet < 64, "timers without end: {:?}", self.conn);
                let Some(d) = self.conn.deadline() else {
                    assert!(!self.used && !eof, "nothing will ever happen: {:?}", self.conn);
                    return;
                };
                self.t = self.t.max(d.at.as_micros());
                self.expire();
                self.check();
            }
        }
        panic!("no end: {:?}", self.conn);
    }
}

/// The whole property.
pub fn run(head: Seed, ops: &[Op]) {
    let mut world = World::new(head);
    for op in ops {
        world.apply(op);
    }
    for (eof, takes) in [(true, true), (false, true), (false, false)] {
        world.clone().conclude(eof, takes, head[4] % 3 == 0);
    }
}
