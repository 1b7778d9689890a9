//! The server's side of a connection.
//!
//! [`Connection`] joins two halves that move on their own, inbound and outbound, and
//! meet where an exchange ends. The inbound half is serial: request n+1 is parsed when response n is
//! written (S7.1). What is decided about persistence is decided once, when the response head is
//! written, by one table of reasons
//! ([`CloseReason`]).
//!
//! Errors in the machine's own words: the peer's mistakes are [`Event::Failed`] and a response written
//! by [`Connection::emit`]; the caller's are
//! [`SendError`](crate::SendError) and change nothing.

mod config;
mod invariants;
mod receive;
mod respond;
mod timing;

pub use config::{Config, KeepAliveField};

use crate::action::{End, Lost, Retire, Step, Wants};
use crate::content::{Inbound, Outbound};
use crate::deadline::Deadline;
use crate::error::Kind;
use crate::grammar::Protocols;
use crate::head::fields::Trailers;
use crate::head::request::RequestHead;
use crate::head::scan::Scan;
use crate::persistence::{self, CloseReason, Persistence, ServerFacts};
use crate::phase::ServerPhase;
use crate::teardown::{self, TearDown};
use crate::time::Instant;
use crate::{Failure, limits};

/// What a server's connection received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'b> {
    /// A complete and valid request head. Its content is held until
    /// [`read_content`](Connection::read_content) or [`skip_content`](Connection::skip_content).
    Request(RequestHead<'b>),
    /// Content of the request: at most `room` octets of it.
    Content(&'b [u8]),
    /// The request is whole. Comes also for requests without content.
    End(Trailers<'b>),
    /// What was being received will not be complete. Nothing is asked of the application, and no
    /// [`Event::End`] follows. Where an answer makes sense, the machine writes it itself.
    Failed(Failure),
}

/// The inbound half: what is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Rx {
    /// Between requests; so many empty lines were passed over.
    Idle { blank: u8 },
    /// A head has begun.
    Head(Scan),
    /// The content waits for the application to ask for it.
    Held(Inbound),
    /// The content goes to the application.
    Reading(Inbound),
    /// The content is read to be thrown away; so much is left.
    Discard(u64),
    /// The request is whole, and its response is not.
    Whole,
    /// Nothing more is parsed; what comes is thrown away. The connection closes when the response is
    /// out.
    Sink { octets: u32 },
    /// Half-closed: reading until the peer closes too.
    Linger { octets: u32 },
    /// The connection left HTTP.
    Tunnel,
    /// All is over; the transport may be closed.
    Over,
}

impl Rx {
    const fn phase(&self) -> ServerPhase {
        match self {
            Self::Idle { .. } => ServerPhase::Idle,
            Self::Head(_) => ServerPhase::Head,
            Self::Held(_) => ServerPhase::Held,
            Self::Reading(_) => ServerPhase::Reading,
            Self::Discard(_) => ServerPhase::Discard,
            Self::Whole => ServerPhase::Whole,
            Self::Sink { .. } => ServerPhase::Sink,
            Self::Linger { .. } => ServerPhase::Linger,
            Self::Tunnel => ServerPhase::Tunnel,
            Self::Over => ServerPhase::Over,
        }
    }
}

/// The outbound half: what is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Tx {
    /// No response is owed.
    Quiet,
    /// The application owes a response.
    Owed,
    /// The machine owes a response of its own, with this status.
    Own(u16),
    /// The response head is written; its content is not.
    Sending(Outbound),
    /// The response is written.
    Done,
    /// A 101, or a 2xx to CONNECT, is written.
    Tunnel,
}

/// Single facts about connection and request.
mod is {
    /// The peer closed its sending side.
    pub(super) const EOF: u16 = 1;
    /// We closed ours.
    pub(super) const SHUT: u16 = 1 << 1;
    /// A request was received on this connection.
    pub(super) const USED: u16 = 1 << 2;
    /// Back-pressure: bytes wait that the driver has no room for.
    pub(super) const PAUSED: u16 = 1 << 3;
    /// Bytes were thrown away: a peer that sends more may still be sending.
    pub(super) const SURPLUS: u16 = 1 << 4;
    /// Closed while idle.
    pub(super) const CLOSED_IDLE: u16 = 1 << 5;
    /// Closed after an error response of the machine's own.
    pub(super) const ERRED: u16 = 1 << 6;
    // of the present request, or the one last answered
    pub(super) const HEAD: u16 = 1 << 8;
    pub(super) const CONNECT: u16 = 1 << 9;
    pub(super) const WHOLE: u16 = 1 << 10;
    /// The client waits for a 100 that was not sent.
    pub(super) const EXPECT: u16 = 1 << 11;
    /// The request had Expect, and no 100 was sent, needed or not.
    pub(super) const UNTOLD: u16 = 1 << 13;
    /// More was received behind it.
    pub(super) const MORE: u16 = 1 << 14;
    pub(super) const OF_REQUEST: u16 = HEAD | CONNECT | WHOLE | EXPECT | UNTOLD | MORE;
}

/// The server's side of one connection: a small value that holds no buffer and does no I/O.
///
/// The loop that drives it: call [`receive`](Self::receive) until it returns no event, then
/// [`emit`](Self::emit), write what was written, look at [`wants`](Self::wants) and
/// [`deadline`](Self::deadline), and wait. The crate's front page has it in full.
///
/// ```
/// use keepalive::{Instant, NO_FIELDS, server::{Config, Connection, Event}};
/// let now = Instant::default();
/// let mut conn = Connection::new(&Config::origin(), now);
/// let bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
/// let step = conn.receive(now, bytes, usize::MAX);
/// assert_eq!(step.consumed, bytes.len());
/// let Some(Event::Request(head)) = step.event else { panic!() };
/// assert_eq!(head.target(), b"/");
///
/// let mut out = [0; 256];
/// let n = conn.reply(now, 200, NO_FIELDS, b"hi", &mut out)?;
/// assert_eq!(&out[..n], b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
/// assert!(conn.persistence().persists());
/// # Ok::<(), keepalive::SendError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    config: Config,
    /// Octets consumed since the connection began.
    consumed: u64,
    /// Octets written and not yet transmitted.
    owed: u64,
    /// When the connection began; once draining, when that began.
    born: Instant,
    /// When the inbound half last began or moved on.
    since: Instant,
    /// When the request began; once lingering, when that began.
    begun: Instant,
    /// From when the minimum rate counts; content moves it on.
    rate: Instant,
    /// When output last began to wait, or moved on.
    moved: Instant,
    rx: Rx,
    tx: Tx,
    facts: ServerFacts,
    /// Protocols that the request offers for an upgrade.
    offered: Protocols,
    /// Requests received.
    served: u32,
    flags: u16,
    /// The verdict, once it is to close.
    verdict: Option<CloseReason>,
    /// The reason of an abort.
    aborted: Option<CloseReason>,
    /// A failure that is still to be told.
    failed: Option<Kind>,
}

const _: () = assert!(size_of::<Connection>() <= 192, "a connection must stay small");

impl Connection {
    /// A connection just accepted.
    #[must_use]
    pub const fn new(config: &Config, now: Instant) -> Self {
        Self {
            config: *config,
            consumed: 0,
            owed: 0,
            born: now,
            since: now,
            begun: now,
            rate: now,
            moved: now,
            rx: Rx::Idle { blank: 0 },
            tx: Tx::Quiet,
            facts: ServerFacts::none(),
            offered: Protocols::NONE,
            served: 0,
            flags: 0,
            verdict: None,
            aborted: None,
            failed: None,
        }
    }

    // ---- the world ----

    /// Reads on. Call it after every change, with all bytes not yet consumed, until it returns no
    /// event; apply [`Step::consumed`] always.
    ///
    /// `room` is how much content the driver can take now: all of back-pressure. With 0, requests
    /// and content wait. [`fits`](Self::fits) tells the room whose consequences fit an output space.
    ///
    /// It cannot fail: what the peer does wrong is [`Event::Failed`].
    #[inline]
    pub fn receive<'b>(&mut self, now: Instant, unread: &'b [u8], room: usize) -> Step<Event<'b>> {
        // What most calls come to, where nothing is unusual. It is also what `read_on` would find.
        if room > 0 && self.flags & (is::PAUSED | is::EOF) == 0 {
            match &mut self.rx {
                // As the contract has it: asked until there is nothing more.
                Rx::Idle { .. } | Rx::Held(_) if unread.is_empty() => {
                    return Step::nothing();
                }
                // As most requests are: without content, or with no more of it.
                Rx::Reading(Inbound::Length(0)) => {
                    self.whole_request(now, unread);
                    return Step::found(0, Event::End(Trailers::NONE));
                }
                // As nearly all content in chunks comes: chunk by chunk.
                Rx::Reading(Inbound::Chunked(_)) => return self.chunk(now, unread, room),
                // As the slowest peers send a head: a few octets in the middle of a line.
                Rx::Head(scan) => {
                    let crept = scan.creep(unread, &self.config.head_rules());
                    if crept {
                        return Step::nothing();
                    }
                }
                _ => {}
            }
        }
        self.read_on(now, unread, room)
    }

    /// The peer closed its sending side. Call [`receive`](Self::receive) afterwards.
    pub fn received_eof(&mut self, now: Instant) {
        let _ = now;
        self.flags |= is::EOF;
        match self.rx {
            Rx::Linger { .. } => self.enter(Rx::Over),
            // S6.5: a response to a client that half-closed is finished, unless set otherwise.
            _ if self.config.aborts_on_eof()
                && !matches!(self.rx, Rx::Tunnel)
                && self.tx != Tx::Quiet =>
            {
                self.give_up(CloseReason::PeerClosed, Some(Kind::IncompleteContent));
            }
            _ => {}
        }
    }

    /// `n` octets of the output were transmitted: taken by the operating system is enough.
    #[inline]
    pub fn transmitted(&mut self, now: Instant, n: u64) {
        if n == 0 || self.owed == 0 {
            return;
        }
        self.owed = self.owed.saturating_sub(n);
        self.moved = self.moved.max(now);
        if self.owed == 0 && matches!(self.rx, Rx::Idle { .. }) {
            self.touch(now);
        }
    }

    /// The sending side was closed, as [`End::ShutdownWrite`] asked: lingering begins. Without that
    /// request it has no effect.
    pub fn write_closed(&mut self, now: Instant) {
        if self.end() == Some(End::ShutdownWrite) {
            self.flags |= is::SHUT;
            self.touch(now);
            self.begun = self.begun.max(now);
            self.enter(Rx::Linger { octets: 0 });
        }
    }

    /// The transport was lost.
    pub fn lost(&mut self, now: Instant, how: Lost) {
        let kind = match how {
            Lost::Truncated => return self.received_eof(now),
            Lost::Reset => Kind::Reset,
            Lost::Write => Kind::WriteFailed,
            Lost::Tls => Kind::TlsFailed,
        };
        if matches!(self.rx, Rx::Linger { .. }) {
            self.enter(Rx::Over);
        } else {
            self.give_up(CloseReason::TransportLost, Some(kind));
        }
    }

    /// `n` octets of the content that comes next went past the machine, spliced from socket to
    /// socket. Only what [`content_run`](Self::content_run) counts may go that way.
    pub fn bypassed(&mut self, now: Instant, n: u64) {
        if let Rx::Reading(body) = &mut self.rx {
            let n = body.bypass(n);
            self.consumed = self.consumed.saturating_add(n);
            if n > 0 {
                self.content_came(now, n);
            }
        }
    }

    /// Gives up: the connection is to be aborted. For a response that cannot be completed (S1.3-16).
    pub fn abort(&mut self, now: Instant) {
        let _ = now;
        if !self.is_ended() {
            let begun = matches!(self.tx, Tx::Sending(_));
            self.facts.set(ServerFacts::failed, begun);
            let reason = if begun { CloseReason::ResponseFailed } else { CloseReason::Aborted };
            self.give_up(reason, None);
        }
    }

    /// Retires the connection: it closes as soon as nobody is hurt. Later calls may add reasons.
    ///
    /// Call it behind the receive loop, so that no request is left in a buffer of the driver's. One
    /// that was never used closes at once (S6.6): give one just accepted the time to say something.
    pub fn retire(&mut self, now: Instant, why: Retire) {
        match why {
            Retire::Application => self.facts.set(ServerFacts::application, true),
            Retire::Pressure => self.facts.set(ServerFacts::pressure, true),
            Retire::Drain if self.facts.has(ServerFacts::draining) => {}
            Retire::Drain => {
                self.facts.set(ServerFacts::draining, true);
                self.born = self.born.max(now);
            }
        }
        self.retire_idle(now);
    }

    // ---- questions ----

    /// What would move the connection on.
    #[must_use]
    #[inline]
    pub fn wants(&self) -> Wants {
        let end = self.end();
        if self.aborted.is_some() {
            return Wants { end, ..Wants::default() };
        }
        let emit = self.is_100_due() || matches!(self.tx, Tx::Own(_));
        let read = match self.rx {
            Rx::Idle { .. } | Rx::Head(_) | Rx::Discard(_) | Rx::Linger { .. } => true,
            Rx::Reading(body) => body.remaining() != Some(0),
            // A peer that is still sending may not read what we send before it is done.
            Rx::Sink { octets } => octets < limits::LINGER,
            Rx::Held(_) | Rx::Whole | Rx::Tunnel | Rx::Over => false,
        };
        Wants {
            read: read && !emit && self.flags & is::EOF == 0 && !matches!(end, Some(End::Close(_))),
            emit,
            head: self.tx == Tx::Owed,
            content: matches!(self.tx, Tx::Sending(_)),
            end,
        }
    }

    /// The next moment at which [`expire`](Self::expire) is to be called, and why.
    #[must_use]
    #[inline]
    pub fn deadline(&self) -> Option<Deadline> {
        self.next_deadline()
    }

    /// Whether the connection goes on after the present exchange, as far as is known now.
    #[must_use]
    pub fn persistence(&self) -> Persistence {
        match self.verdict.or_else(|| persistence::server(self.facts_now())) {
            Some(reason) => Persistence::Close(reason),
            None => Persistence::Persist { remaining: self.remaining() },
        }
    }

    /// Whether no request is in progress.
    #[must_use]
    #[inline]
    pub fn is_idle(&self) -> bool {
        matches!(self.rx, Rx::Idle { .. })
    }

    /// Requests received so far (S4.1).
    #[must_use]
    pub fn requests(&self) -> u32 {
        self.served
    }

    /// The `room` to give to [`receive`](Self::receive) so that what comes of it fits into
    /// `out_room` octets of output: a response head, or content passed through to the response.
    ///
    /// 0 where a head might not fit while output is still waiting: transmit first.
    #[must_use]
    pub fn fits(&self, out_room: usize) -> usize {
        match self.tx {
            Tx::Sending(out) => out.fits(out_room),
            // Nothing is waiting, so there will never be more room than now.
            _ if self.owed == 0 => out_room.max(1),
            _ => out_room.saturating_sub(Self::HEAD_ROOM),
        }
    }

    /// Output space that [`fits`](Self::fits) keeps for a response head.
    pub const HEAD_ROOM: usize = 1024;

    /// Output space in which [`emit`](Self::emit) always finds room, besides the fields it is given.
    pub const EMIT_ROOM: usize = 128;

    /// How many octets of pure content come next on the wire: so many may be spliced past the
    /// machine (see [`bypassed`](Self::bypassed)).
    #[must_use]
    #[inline]
    pub fn content_run(&self) -> u64 {
        match &self.rx {
            Rx::Reading(body) => body.run(),
            _ => 0,
        }
    }

    /// Octets written and not yet reported as transmitted.
    #[must_use]
    pub fn untransmitted(&self) -> u64 {
        self.owed
    }

    // ---- the inside ----

    /// The one way from phase to phase.
    #[inline]
    fn enter(&mut self, rx: Rx) {
        debug_assert!(
            self.rx.phase().may_become(rx.phase()),
            "no such step: {:?} to {rx:?}",
            self.rx
        );
        self.rx = rx;
    }

    #[inline]
    fn touch(&mut self, now: Instant) {
        self.since = self.since.max(now);
    }

    #[inline]
    fn is_100_due(&self) -> bool {
        self.flags & is::EXPECT != 0
            && !self.config.is_proxy()
            && self.tx == Tx::Owed
            && matches!(self.rx, Rx::Reading(_))
    }

    /// Whether nothing can follow the present request: the peer closed, and sent nothing behind it. A
    /// client that half-closes behind pipelined requests gets them all answered.
    #[inline]
    fn is_last(&self) -> bool {
        // Before the request is whole, what stands behind it is not known.
        let whole = match self.rx {
            Rx::Reading(body) => body.remaining() == Some(0),
            Rx::Idle { .. } => true,
            _ => self.flags & is::WHOLE != 0,
        };
        whole && self.flags & is::EOF != 0 && self.flags & is::MORE == 0
    }

    /// The facts as they stand, for a verdict that falls now.
    #[inline]
    fn facts_now(&self) -> ServerFacts {
        let mut facts = self.facts;
        facts.set(ServerFacts::eof, self.is_last());
        facts
    }

    #[inline]
    fn remaining(&self) -> Option<u32> {
        match self.config.max_requests {
            0 => None,
            n => Some(n.saturating_sub(self.served)),
        }
    }

    /// Whether the end is known, and final: nothing but the transport's close is left.
    fn is_ended(&self) -> bool {
        !matches!(self.end(), None | Some(End::ShutdownWrite))
    }

    /// Decides to close; the first reason stays.
    fn decide(&mut self, reason: CloseReason) {
        self.verdict.get_or_insert(reason);
    }

    fn give_up(&mut self, reason: CloseReason, kind: Option<Kind>) {
        if self.is_ended() {
            return;
        }
        if matches!(self.rx, Rx::Head(_) | Rx::Held(_) | Rx::Reading(_)) {
            self.failed = self.failed.or(kind);
        }
        self.decide(reason);
        self.aborted = Some(reason);
        self.owed = 0;
        self.enter(Rx::Over);
        self.tx = Tx::Done;
    }

    /// Both halves may have met: goes on to the next request, or towards the close.
    #[inline]
    fn turn(&mut self, now: Instant) {
        if self.tx == Tx::Done {
            self.turn_over(now);
        }
    }

    fn turn_over(&mut self, now: Instant) {
        match self.rx {
            // A close-delimited response is over only with the half-close, for which a client that sends
            // no more may be waiting: the rest of the content is given up.
            Rx::Held(body) | Rx::Reading(body)
                if self.facts.has(ServerFacts::undelimited) && body.remaining() != Some(0) =>
            {
                self.failed = self.failed.or(Some(Kind::IncompleteContent));
                self.enter(Rx::Sink { octets: 0 });
            }
            // S1.3-14: what the application still wants is judged again now, and not announced.
            Rx::Held(body) | Rx::Reading(body) if self.beyond_budget(&body) => {
                self.decide(CloseReason::UnreadContent);
            }
            Rx::Whole => match self.verdict {
                None => {
                    self.enter(Rx::Idle { blank: 0 });
                    self.tx = Tx::Quiet;
                    self.touch(now);
                    self.retire_idle(now);
                }
                Some(_) => self.enter(Rx::Sink { octets: 0 }),
            },
            _ => {}
        }
    }

    /// An idle connection that is to be retired closes, unless its last response promised
    /// persistence a moment ago: then the deadline does it (S3.2, S6.6).
    #[inline]
    fn retire_idle(&mut self, now: Instant) {
        let Rx::Idle { .. } = self.rx else { return };
        let Some(reason) = persistence::server(self.facts.only(persistence::SERVER_STICKY)) else {
            return;
        };
        let promised = self.flags & is::USED != 0 && !self.facts.has(ServerFacts::pressure);
        let held = self.owed > 0
            || self.config.min_idle_span().after(self.since).is_some_and(|at| now < at);
        if !(promised && held) {
            self.close_idle(reason);
        }
    }

    /// Closes an idle connection in silence: with FIN and a short read, so that a racing client sees
    /// EOF and no reset (S3.2). One that was never used just closes.
    fn close_idle(&mut self, reason: CloseReason) {
        self.decide(reason);
        self.flags |= is::CLOSED_IDLE;
        self.enter(Rx::Sink { octets: 0 });
        self.tx = Tx::Done;
    }

    /// Whether content is too much to be read only for the sake of the connection.
    fn beyond_budget(&self, body: &Inbound) -> bool {
        body.remaining().is_none_or(|left| left > u64::from(self.config.discard))
    }

    #[inline]
    fn end(&self) -> Option<End> {
        // Nothing ends without one: as nearly always there is none.
        self.verdict?;
        self.how_it_ends()
    }

    fn how_it_ends(&self) -> Option<End> {
        let reason = self.aborted.or(self.verdict).unwrap_or(CloseReason::Aborted);
        match self.rx {
            _ if self.aborted.is_some() => Some(End::Abort(reason)),
            Rx::Over => Some(End::Close(reason)),
            Rx::Tunnel if self.owed == 0 => Some(End::Tunnel),
            Rx::Sink { .. } if self.tx == Tx::Done && self.owed == 0 => {
                Some(match self.teardown() {
                    TearDown::Abort => End::Abort(reason),
                    TearDown::Close => End::Close(reason),
                    TearDown::Linger(_) => End::ShutdownWrite,
                })
            }
            _ => None,
        }
    }

    /// S6: how the connection ends once its last response is out.
    #[inline]
    fn teardown(&self) -> TearDown {
        let has = |bit| self.flags & bit != 0;
        teardown::decide(&teardown::Facts {
            aborted: self.aborted.is_some(),
            eof: has(is::EOF),
            unused: has(is::CLOSED_IDLE) && !has(is::USED),
            agreed: self.facts.has(ServerFacts::close) && has(is::WHOLE) && !has(is::SURPLUS),
            idle: has(is::CLOSED_IDLE),
            refused: has(is::ERRED),
        })
    }
}
