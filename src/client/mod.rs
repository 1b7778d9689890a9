//! The client's side of a connection.
//!
//! [`Connection`] keeps the requests in flight as a short queue of facts; responses are
//! matched to them in order. Whether the connection can be used again is decided when a response is
//! over, by one table of reasons ([`CloseReason`]); whether a request can be sent again after a
//! failure, by another ([`Retry`]).

mod config;
mod invariants;
mod queue;
mod receive;
mod request;
mod reuse;
mod timing;

pub use config::Config;

use self::queue::{Queue, sent};
use crate::action::{End, Io, Lost, Retire, Step, Wants};
use crate::content::{Inbound, Outbound};
use crate::deadline::Deadline;
use crate::error::{Failure, Kind};
use crate::grammar::Protocols;
use crate::head::fields::Trailers;
use crate::head::response::ResponseHead;
use crate::head::scan::Scan;
use crate::persistence::{self, ClientFacts, CloseReason, Persistence};
use crate::phase::ClientPhase;
use crate::retry::{self, Answer, Retry};
use crate::time::{Instant, Span};

/// What a client's connection received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'b> {
    /// An interim response: 1xx, but not 101. Others follow for the same request. A 100 that nobody
    /// waits for is told like any other, and has no effect (S8.6).
    Interim(ResponseHead<'b>),
    /// A final response head, for the oldest request that is unanswered.
    Response(ResponseHead<'b>),
    /// Content of the response: at most `room` octets of it.
    Content(&'b [u8]),
    /// The response is whole. Comes also for responses without content.
    End(Trailers<'b>),
    /// The response that was being received, or waited for, will not be complete. Nothing more comes.
    /// [`Connection::retry`] says what to do about the requests.
    Failed(Failure),
}

/// Whether a connection can take a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reuse {
    /// It can: until then, and so many requests.
    Ready {
        /// Until when; `None` if that is not limited.
        until: Option<Instant>,
        /// How many requests; `None` if that is not limited.
        left: Option<u32>,
    },
    /// It can if the request is made at once; it is not to be kept for later (S2.3).
    ImmediateOnly,
    /// Not now: an exchange is in progress.
    Busy,
    /// It might, but nobody has looked whether the server closed it: call
    /// [`checkout`](Connection::checkout) first (S2.6).
    Unchecked,
    /// Never again.
    No(CloseReason),
}

/// The inbound half: what is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Rx {
    /// No request is unanswered.
    Idle,
    /// A response is waited for.
    Await,
    /// A response head has begun.
    Head(Scan),
    /// The content goes to the application.
    Reading(Inbound),
    /// The content is read to be thrown away; so much may still come.
    Discard { body: Inbound, budget: u32 },
    /// Bytes came that no request asked for: what are they?
    Surplus,
    /// Nothing more is interpreted.
    Sink,
    /// The connection left HTTP.
    Tunnel,
    /// All is over; the transport may be closed.
    Over,
}

impl Rx {
    const fn phase(&self) -> ClientPhase {
        match self {
            Self::Idle => ClientPhase::Idle,
            Self::Await => ClientPhase::Await,
            Self::Head(_) => ClientPhase::Head,
            Self::Reading(_) => ClientPhase::Reading,
            Self::Discard { .. } => ClientPhase::Discard,
            Self::Surplus => ClientPhase::Surplus,
            Self::Sink => ClientPhase::Sink,
            Self::Tunnel => ClientPhase::Tunnel,
            Self::Over => ClientPhase::Over,
        }
    }
}

/// The outbound half: what is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Tx {
    /// The last request is written.
    Quiet,
    /// The content is being sent, or waits for a 100.
    Sending(Outbound),
    /// The last request was cut short, and no other can follow.
    Stopped,
}

/// Single facts about the connection.
mod is {
    /// The peer closed its sending side.
    pub(super) const EOF: u16 = 1;
    /// EOF may be a truncation.
    pub(super) const TRUNCATED: u16 = 1 << 1;
    /// The connection was looked at, and may take a request.
    pub(super) const CHECKED: u16 = 1 << 2;
    /// A request was made on it.
    pub(super) const USED: u16 = 1 << 3;
    /// Back-pressure: bytes wait that the driver has no room for.
    pub(super) const PAUSED: u16 = 1 << 4;
    /// A 1.1 response persisted: requests may be pipelined.
    pub(super) const PROVEN: u16 = 1 << 5;
    /// The oldest request stood behind a complete response with `close`.
    pub(super) const BEHIND_CLOSE: u16 = 1 << 6;
    /// Writing failed; what the server still says is waited for.
    pub(super) const WRITE_LOST: u16 = 1 << 7;
    /// The content waits for a 100.
    pub(super) const WAITING: u16 = 1 << 8;
    /// The last response was one of 1.0.
    pub(super) const OLD_PEER: u16 = 1 << 9;
}

/// The client's side of one connection: a small value that holds no buffer and does no I/O.
///
/// ```
/// use keepalive::{Content, Instant, client::{Config, Connection, Event, Reuse}};
/// let now = Instant::default();
/// let mut conn = Connection::new(&Config::direct(), now);
/// let mut out = [0; 256];
/// let started = conn.request(now, "GET", b"/", [("Host", "a")], Content::None, &mut out)?;
/// assert_eq!(&out[..started.written], b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
/// conn.transmitted(now, started.written as u64);
///
/// let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
/// let step = conn.receive(now, answer, usize::MAX);
/// assert!(matches!(step.event, Some(Event::Response(head)) if head.status() == 204));
/// let step = conn.receive(now, b"", usize::MAX);
/// assert!(matches!(step.event, Some(Event::End(_))));
/// assert!(matches!(conn.reuse(now), Reuse::Ready { .. }));
/// # Ok::<(), keepalive::SendError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    config: Config,
    /// Octets consumed since the connection began.
    consumed: u64,
    /// Octets written and not yet transmitted.
    owed: u64,
    born: Instant,
    /// When the inbound half last moved on, or a request was flushed.
    since: Instant,
    /// When output last began to wait, or moved on.
    moved: Instant,
    rx: Rx,
    tx: Tx,
    facts: ClientFacts,
    /// Protocols that the last request offered for an upgrade.
    offered: Protocols,
    /// The requests unanswered.
    queue: Queue,
    /// Interim responses to the oldest request.
    interim: u8,
    /// Octets of CR and LF passed over since the last message.
    blank: u8,
    flags: u16,
    /// How long the connection is usable once idle.
    usable: Span,
    /// Requests that the server still takes; `u32::MAX` if it did not say.
    left: u32,
    /// The status of the present final response, or 0.
    status: u16,
    verdict: Option<CloseReason>,
    aborted: Option<CloseReason>,
    /// A failure that is still to be told, and the one that was.
    failed: Option<Kind>,
    fate: Option<Kind>,
}

const _: () = assert!(size_of::<Connection>() <= 192, "a connection must stay small");

impl Connection {
    /// A connection just established.
    #[must_use]
    pub const fn new(config: &Config, now: Instant) -> Self {
        Self {
            config: *config,
            consumed: 0,
            owed: 0,
            born: now,
            since: now,
            moved: now,
            rx: Rx::Idle,
            tx: Tx::Quiet,
            facts: ClientFacts::none(),
            offered: Protocols::NONE,
            queue: Queue::EMPTY,
            interim: 0,
            blank: 0,
            flags: 0,
            usable: UNUSED,
            left: u32::MAX,
            status: 0,
            verdict: None,
            aborted: None,
            failed: None,
            fate: None,
        }
    }

    // ---- the world ----

    /// Reads on. Call it after every change, with all bytes not yet consumed, until it returns no
    /// event; apply [`Step::consumed`] always. `room` is how much content the driver can take now.
    ///
    /// It cannot fail: what the peer does wrong is [`Event::Failed`].
    #[inline]
    pub fn receive<'b>(&mut self, now: Instant, unread: &'b [u8], room: usize) -> Step<Event<'b>> {
        // What most calls come to, where nothing is unusual. It is also what `turns` would find.
        if room > 0 && self.flags & (is::PAUSED | is::EOF) == 0 {
            match &mut self.rx {
                // As nearly all calls end: there is no more.
                Rx::Idle | Rx::Await if unread.is_empty() => return Step::nothing(),
                // As nearly all heads come: to a request that went out, and whole.
                Rx::Await
                    if unread.first().is_some_and(|&b| b > b'\r')
                        && self.queue.oldest() & sent::BEGUN != 0 =>
                {
                    return self.begin_head(now, unread);
                }
                // Without content, or with no more of it.
                Rx::Reading(Inbound::Length(0)) => {
                    self.finish_exchange(now);
                    return Step::found(0, Event::End(Trailers::NONE));
                }
                Rx::Reading(Inbound::Chunked(_)) => {
                    if let Some(step) = self.whole_chunk(now, unread, room) {
                        return step;
                    }
                }
                // As the slowest peers send them: a few octets in the middle of a line.
                Rx::Head(scan) => {
                    let crept = scan.creep(unread, &self.config.head_rules());
                    if crept {
                        return Step::nothing();
                    }
                }
                _ => {}
            }
        }
        self.turns(now, unread, room)
    }

    /// The peer closed its sending side. Call [`receive`](Self::receive) afterwards.
    pub fn received_eof(&mut self, now: Instant) {
        let _ = now;
        self.flags = (self.flags | is::EOF) & !is::CHECKED;
    }

    /// `n` octets of the output were transmitted: taken by the operating system is enough. Of one
    /// batch of completions, report it before what was received (S2.6).
    #[inline]
    pub fn transmitted(&mut self, now: Instant, n: u64) {
        let n = n.min(self.owed);
        if n == 0 {
            return;
        }
        self.owed -= n;
        self.queue.transmitted(n);
        self.moved = self.moved.max(now);
        // The wait for the response begins when the request is flushed, and so does idleness where
        // the response was over before.
        let waits =
            matches!((&self.rx, &self.tx), (Rx::Await | Rx::Head(_), _) | (Rx::Idle, Tx::Quiet));
        if self.owed == 0 && waits {
            self.touch(now);
        }
    }

    /// Lingering is a server's affair: without effect, so that one driver can serve both.
    pub fn write_closed(&mut self, now: Instant) {
        let _ = now;
    }

    /// The transport was lost. After a failed write the machine goes on reading: an early answer may
    /// be waiting (S5.4).
    pub fn lost(&mut self, now: Instant, how: Lost) {
        match how {
            Lost::Truncated => {
                self.flags |= is::TRUNCATED;
                self.received_eof(now);
            }
            Lost::Write
                if matches!(
                    self.rx,
                    Rx::Await | Rx::Head(_) | Rx::Reading(_) | Rx::Discard { .. }
                ) =>
            {
                self.flags |= is::WRITE_LOST;
                self.moved = self.moved.max(now);
                self.touch(now);
                self.stop_sending();
            }
            Lost::Write => self.give_up(CloseReason::TransportLost, Kind::WriteFailed),
            Lost::Reset => self.give_up(CloseReason::TransportLost, Kind::Reset),
            Lost::Tls => self.give_up(CloseReason::TransportLost, Kind::TlsFailed),
        }
    }

    /// `n` octets of the content that comes next went past the machine, spliced from socket to
    /// socket. Only what [`content_run`](Self::content_run) counts may go that way.
    pub fn bypassed(&mut self, now: Instant, n: u64) {
        if let Rx::Reading(body) = &mut self.rx {
            let n = body.bypass(n);
            self.consumed = self.consumed.saturating_add(n);
            if n > 0 {
                self.touch(now);
            }
        }
    }

    // ---- the application ----

    /// "No more of it": the rest of the response content is read and thrown away, within a budget of
    /// octets and time; beyond it the connection closes. No further event comes of this response.
    pub fn skip_content(&mut self, now: Instant) {
        if let Rx::Reading(body) = self.rx
            && body.remaining() != Some(0)
        {
            self.flags &= !is::PAUSED;
            let budget = self.config.discard;
            let hopeless = body == Inbound::UntilClose
                || body.remaining().is_some_and(|left| left > u64::from(budget))
                || persistence::client(self.facts).is_some();
            if hopeless {
                self.facts.set(ClientFacts::discard, true);
                self.finish_exchange(now);
                self.enter(Rx::Sink);
                self.tx = Tx::Stopped;
            } else {
                self.touch(now);
                self.enter(Rx::Discard { body, budget });
            }
        }
    }

    /// Gives up: the connection is to be aborted.
    pub fn abort(&mut self, now: Instant) {
        let _ = now;
        if !self.is_ended() {
            self.decide(CloseReason::Aborted);
            self.aborted = Some(CloseReason::Aborted);
            self.owed = 0;
            self.enter(Rx::Over);
            self.tx = Tx::Stopped;
        }
    }

    /// Retires the connection: no request is made on it any more. What is in flight is finished.
    pub fn retire(&mut self, now: Instant, why: Retire) {
        let _ = now;
        let fact = match why {
            Retire::Application => ClientFacts::application,
            Retire::Drain => ClientFacts::draining,
            Retire::Pressure => ClientFacts::pressure,
        };
        self.facts.set(fact, true);
        self.settle();
    }

    /// The check before a connection is used again (S2.6): give it the result of one read that does
    /// not block, and all unread bytes. On [`Reuse::Ready`] and [`Reuse::ImmediateOnly`] those bytes
    /// were empty lines: drop them, and make the request.
    ///
    /// On a connection just established it may be left out.
    pub fn checkout(&mut self, now: Instant, read: Io, unread: &[u8]) -> Reuse {
        // As nearly always: nothing has come of it, and nothing is due.
        if matches!(read, Io::Nothing | Io::Done(1..))
            && unread.is_empty()
            && self.config.lifetime.after(self.born).is_none_or(|at| now < at)
            && let Some(reuse) = self.readiness(now)
        {
            debug_assert!(self.next_deadline().is_none_or(|d| now < d.at), "overlooked");
            self.flags |= is::CHECKED;
            return reuse;
        }
        self.look(now, read, unread)
    }

    #[inline(never)]
    fn look(&mut self, now: Instant, read: Io, unread: &[u8]) -> Reuse {
        match read {
            Io::Done(0) => self.received_eof(now),
            Io::Done(_) | Io::Nothing => {}
            Io::Lost(how) => self.lost(now, how),
        }
        if self.is_between() && self.owed == 0 {
            if self.next_deadline().is_some_and(|d| d.at <= now) {
                self.expire(now);
            }
            // Where nothing came there is nothing to find.
            if !unread.is_empty() || self.flags & is::EOF != 0 {
                let _ = self.receive(now, unread, usize::MAX);
            }
        }
        let reuse = self.state(now);
        // Both are said of an idle connection only.
        if matches!(reuse, Reuse::Ready { .. } | Reuse::ImmediateOnly) {
            self.flags |= is::CHECKED;
        }
        reuse
    }

    // ---- questions ----

    /// What would move the connection on.
    #[must_use]
    pub fn wants(&self) -> Wants {
        let end = self.end();
        if self.aborted.is_some() {
            return Wants { end, ..Wants::default() };
        }
        let read = match self.rx {
            Rx::Reading(body) => body.remaining() != Some(0),
            Rx::Idle | Rx::Await | Rx::Head(_) | Rx::Discard { .. } => true,
            Rx::Surplus | Rx::Sink | Rx::Tunnel | Rx::Over => false,
        };
        Wants {
            read: read && self.flags & is::EOF == 0 && end.is_none(),
            emit: false,
            head: matches!(self.state(self.since), Reuse::Ready { .. } | Reuse::ImmediateOnly),
            content: matches!(self.tx, Tx::Sending(_))
                && self.flags & is::WAITING == 0
                && end.is_none(),
            end,
        }
    }

    /// The next moment at which [`expire`](Self::expire) is to be called, and why.
    #[must_use]
    pub fn deadline(&self) -> Option<Deadline> {
        self.next_deadline()
    }

    /// Whether the connection can take a request now, or is worth keeping. Where it says
    /// [`Reuse::Ready`], [`checkout`](Self::checkout) has the last word.
    #[must_use]
    #[inline]
    pub fn reuse(&self, now: Instant) -> Reuse {
        self.state(now)
    }

    /// Whether the connection goes on after the present exchange, as far as is known now.
    #[must_use]
    pub fn persistence(&self) -> Persistence {
        match self.verdict.or_else(|| persistence::client(self.facts)) {
            Some(reason) => Persistence::Close(reason),
            None => Persistence::Persist { remaining: self.left() },
        }
    }

    /// The verdict on sending a request again: the `nth` of those unanswered, 0 being the oldest.
    /// `None` if there are not so many. To be asked after [`Event::Failed`], and when a 408 or 417
    /// has come ([`Event::Response`]).
    #[must_use]
    pub fn retry(&self, nth: usize) -> Option<Retry> {
        if nth >= self.queue.len() {
            return None;
        }
        let answer = if nth > 0 {
            Answer::Nothing
        } else if self.status > 0 {
            Answer::Head(self.status)
        } else if matches!(self.rx, Rx::Head(_)) || self.fate == Some(Kind::IncompleteHead) {
            Answer::Part
        } else if self.interim > 0 {
            Answer::Interim
        } else {
            Answer::Nothing
        };
        let event = match self.fate {
            None => retry::Event::None,
            Some(Kind::ResponseTimeout | Kind::ContentTimeout) => retry::Event::Timeout,
            Some(Kind::TlsFailed) => retry::Event::Tls,
            Some(_) => retry::Event::Closed,
        };
        let facts = retry::Facts {
            reused: !self.queue.has(nth, sent::FIRST),
            transmitted: self.queue.has(nth, sent::BEGUN),
            answer,
            event,
            behind_close: self.flags & is::BEHIND_CLOSE != 0,
            expected: self.queue.has(nth, sent::EXPECT),
            retry_fresh: self.config.retries_fresh(),
            doubt_close: self.config.doubts_close(),
            gateway: self.config.is_gateway(),
        };
        Some(retry::judge(&facts, self.queue.has(nth, sent::IDEMPOTENT)))
    }

    /// How many requests are unanswered, the one included whose response is being received.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.queue.len()
    }

    /// How many octets of pure content come next on the wire: so many may be spliced past the
    /// machine (see [`bypassed`](Self::bypassed)).
    #[must_use]
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
    fn enter(&mut self, rx: Rx) {
        debug_assert!(
            self.rx.phase().may_become(rx.phase()),
            "no such step: {:?} to {rx:?}",
            self.rx
        );
        self.rx = rx;
    }

    #[inline(always)]
    fn touch(&mut self, now: Instant) {
        // Most often it is the same moment as before.
        if now > self.since {
            self.since = now;
        }
    }

    #[inline(always)]
    fn left(&self) -> Option<u32> {
        (self.left != u32::MAX).then_some(self.left)
    }

    fn decide(&mut self, reason: CloseReason) {
        self.verdict.get_or_insert(reason);
    }

    /// The connection is of no use any more, and a response that was expected will not come.
    fn give_up(&mut self, reason: CloseReason, kind: Kind) {
        if self.is_ended() {
            return;
        }
        if self.queue.len() > 0 {
            self.failed = Some(kind);
            // A part of a head counts as an answer (S5), whatever ended it.
            let part = matches!(self.rx, Rx::Head(_));
            self.fate = Some(if part { Kind::IncompleteHead } else { kind });
        }
        self.decide(reason);
        self.aborted = Some(reason);
        self.enter(Rx::Over);
        self.tx = Tx::Stopped;
    }

    /// Whether the end is known, and final.
    fn is_ended(&self) -> bool {
        self.end().is_some()
    }

    /// Nothing more is sent of the present request.
    fn stop_sending(&mut self) {
        self.tx = Tx::Stopped;
        self.facts.set(ClientFacts::stopped, true);
    }

    /// The oldest request is answered.
    fn finish_exchange(&mut self, now: Instant) {
        // What was decided about the connection in the meantime waits until all is sent and answered.
        let verdict = persistence::client(self.facts.without(STICKY));
        if self.facts.has(ClientFacts::close) {
            self.flags |= is::BEHIND_CLOSE;
        }
        self.queue.pop();
        self.interim = 0;
        self.status = 0;
        self.blank = 0;
        self.touch(now);
        if let Some(reason) = verdict {
            self.decide(reason);
            self.close_after_exchange();
        } else {
            self.facts = self.facts.only(STICKY);
            self.enter(if self.queue.len() == 0 { Rx::Idle } else { Rx::Await });
            self.settle();
        }
    }

    /// The connection closes behind a response. Requests behind it will not be answered (S6.8).
    fn close_after_exchange(&mut self) {
        let tunnel = self.verdict == Some(CloseReason::Tunnel);
        self.enter(if tunnel { Rx::Tunnel } else { Rx::Sink });
        if tunnel && self.flags & is::WRITE_LOST != 0 {
            // One that can only be read is of no use.
            self.aborted = Some(CloseReason::TransportLost);
        }
        if !tunnel {
            self.tx = Tx::Stopped;
            if self.queue.len() > 0 {
                self.failed = Some(Kind::NoResponse);
                self.fate = self.failed;
            }
        }
    }

    /// Whether no request is in progress, in either direction.
    fn is_between(&self) -> bool {
        matches!((&self.rx, &self.tx), (Rx::Idle, Tx::Quiet))
    }

    /// An idle connection that can take no request is over.
    fn settle(&mut self) {
        if self.is_between()
            && let Some(reason) = persistence::client(self.facts)
        {
            self.decide(reason);
            self.enter(Rx::Sink);
        }
    }

    fn end(&self) -> Option<End> {
        if let Some(reason) = self.aborted {
            return Some(End::Abort(reason));
        }
        match self.rx {
            Rx::Tunnel if self.tx == Tx::Quiet && self.owed == 0 => Some(End::Tunnel),
            Rx::Over | Rx::Sink | Rx::Surplus if self.queue.len() == 0 || self.failed.is_none() => {
                Some(End::Close(self.verdict.unwrap_or(CloseReason::PeerClosed)))
            }
            _ => None,
        }
    }
}

/// How long a connection made ahead of its use is kept: servers close unused ones after 20 s or more.
const UNUSED: Span = Span::secs(15);

/// What counts as at once (S2.3): a turn of the driver's loop, and nothing against the second that a
/// server names at least.
const IMMEDIATE: Span = Span::millis(10);

/// Facts that outlive an exchange.
const STICKY: ClientFacts = ClientFacts::application
    .and(ClientFacts::draining)
    .and(ClientFacts::lifetime)
    .and(ClientFacts::pressure);

#[cfg(test)]
mod tests {
    //! What the short cuts must not forget.

    use super::*;
    use crate::content::Content;
    use core::time::Duration;

    const NOW: Instant = Instant::from_millis(0);

    /// A request went out.
    fn asked(config: &Config) -> Connection {
        let mut conn = Connection::new(config, NOW);
        let mut out = [0; 128];
        let host = [("Host", "a")];
        let sent = conn.request(NOW, "GET", "/", host, Content::None, &mut out).unwrap();
        conn.transmitted(NOW, sent.written as u64);
        conn
    }

    /// And was answered.
    fn idle(config: &Config) -> Connection {
        let mut conn = asked(config);
        conn.receive(NOW, b"HTTP/1.1 204 No Content\r\n\r\n", usize::MAX);
        assert!(matches!(conn.receive(NOW, b"", usize::MAX).event, Some(Event::End(_))));
        conn
    }

    #[test]
    fn a_check_that_meets_eof_ends_the_connection() {
        let mut conn = idle(&Config::direct());
        assert_eq!(conn.checkout(NOW, Io::Done(0), b""), Reuse::No(CloseReason::PeerClosed));
        assert_eq!(conn.wants().end, Some(End::Close(CloseReason::PeerClosed)));
        assert_eq!(conn.deadline(), None);
    }

    #[test]
    fn a_check_heeds_what_was_due_before_it() {
        let second = Duration::from_secs;
        let conn = idle(&Config::direct().idle(second(60)).lifetime(Some(second(10))));
        let late = NOW + second(10);
        assert!(matches!(conn.clone().checkout(NOW, Io::Nothing, b""), Reuse::Ready { .. }));
        for late in [late, late + second(1)] {
            let mut conn = conn.clone();
            assert_eq!(conn.checkout(late, Io::Nothing, b""), Reuse::No(CloseReason::Lifetime));
        }
    }

    #[test]
    fn a_whole_chunk_ends_a_pause() {
        let mut conn = asked(&Config::direct());
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        conn.receive(NOW, head, usize::MAX);
        // Content waits for room, and is then spliced past the machine.
        assert_eq!(conn.receive(NOW, b"3\r\nabc", 0).consumed, 3);
        assert_eq!(conn.deadline(), None);
        conn.bypassed(NOW, 3);
        let late = NOW + Duration::from_secs(1);
        let step = conn.receive(late, b"\r\n3\r\ndef\r\n", usize::MAX);
        assert_eq!(step.event, Some(Event::Content(b"def")));
        assert_eq!(conn.deadline().map(|d| d.at), Some(late + Duration::from_secs(300)));
        conn.check_invariants();
    }
}
