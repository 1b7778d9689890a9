//! The inbound half: bytes to events.

use super::{Connection, Event, Rx, Tx, is};
use crate::action::Step;
use crate::content::{Inbound, Piece};
use crate::error::{Failure, Fault, Kind};
use crate::framing::RequestFraming;
use crate::grammar::Protocols;
use crate::head::fields::Trailers;
use crate::head::note::flag;
use crate::head::request::RequestHead;
use crate::head::scan::Scan;
use crate::limits;
use crate::persistence::{CloseReason, SERVER_STICKY, ServerFacts};
use crate::time::Instant;

/// What one turn of the loop did with the bytes it was shown.
enum Turn<'b> {
    /// Consumed so many, and there may be more in the rest.
    Again(usize),
    /// Consumed so many; the rest must wait.
    Wait(usize),
    /// Consumed so many, and found this.
    Found(usize, Event<'b>),
}

use Turn::{Again, Found, Wait};

/// All that a request can say about persistence.
const DECIDES: u32 = flag::CLOSE
    | flag::KEEP_ALIVE
    | flag::PROXY_KEEP_ALIVE
    | flag::VIA
    | flag::PROXY_CONNECTION
    | flag::ABSOLUTE
    | flag::OPTIONS_BAD
    | flag::CODING;

impl Connection {
    /// A whole chunk, where nothing is unusual, or whatever it is. Apart, to leave the other calls light.
    #[inline(never)]
    pub(super) fn chunk<'b>(
        &mut self,
        now: Instant,
        unread: &'b [u8],
        room: usize,
    ) -> Step<Event<'b>> {
        if let Rx::Reading(Inbound::Chunked(decoder)) = &mut self.rx
            && let Some((n, piece)) = decoder.whole_chunk(unread, room)
        {
            self.content_came(now, n as u64);
            self.consumed = self.consumed.saturating_add(n as u64);
            return Step::found(n, Event::Content(piece));
        }
        self.read_on(now, unread, room)
    }

    #[inline(never)]
    pub(super) fn read_on<'b>(
        &mut self,
        now: Instant,
        unread: &'b [u8],
        room: usize,
    ) -> Step<Event<'b>> {
        let plain = room > 0 && self.flags & is::PAUSED == 0;
        match self.rx {
            // As nearly all heads come: between requests, and whole.
            Rx::Idle { .. } if plain && unread.first().is_some_and(|&b| b > b'\r') => {
                self.touch(now);
                self.begun = self.begun.max(now);
                self.head_at_once(now, unread, Scan::new())
            }
            // As slow peers send them: a part, and perhaps nothing to be told yet.
            Rx::Head(scan) if plain && self.flags & is::EOF == 0 => {
                self.head_at_once(now, unread, scan)
            }
            _ => self.turns(now, unread, room),
        }
    }

    /// Reads on in a head where nothing is unusual. Written where it is returned: a head is large.
    #[inline(always)]
    fn head_at_once<'b>(
        &mut self,
        now: Instant,
        bytes: &'b [u8],
        mut scan: Scan,
    ) -> Step<Event<'b>> {
        let mut step = Step::found(0, Event::Request(RequestHead::unread()));
        let Some(Event::Request(head)) = &mut step.event else { return step };
        let turn = match self.scan_on(now, bytes, &mut scan, head) {
            Ok(Some(n)) => {
                self.consumed = self.consumed.saturating_add(n as u64);
                step.consumed = n;
                return step;
            }
            Ok(None) => self.incomplete(bytes, scan),
            Err(fault) => self.fail(fault, bytes),
        };
        self.settle(turn, 0)
    }

    /// Reads on in a head, and accepts it once it is whole: `head` then, which has so many octets.
    #[inline(always)]
    fn scan_on<'b>(
        &mut self,
        now: Instant,
        bytes: &'b [u8],
        scan: &mut Scan,
        head: &mut RequestHead<'b>,
    ) -> Result<Option<usize>, Fault> {
        let found = scan.advance(bytes, &self.config.head_rules(), head.index())?;
        if let Some(n) = found {
            self.whole(now, bytes, n, scan, head)?;
        }
        Ok(found)
    }

    #[inline(never)]
    fn turns<'b>(&mut self, now: Instant, unread: &'b [u8], room: usize) -> Step<Event<'b>> {
        if let Some(kind) = self.failed.take() {
            return Step::found(0, Event::Failed(Failure { kind, offset: self.consumed }));
        }
        let mut consumed = 0;
        loop {
            let bytes = unread.get(consumed..).unwrap_or_default();
            match self.one_turn(now, bytes, room) {
                Again(n) => {
                    consumed += n;
                    self.consumed = self.consumed.saturating_add(n as u64);
                }
                turn => return self.settle(turn, consumed),
            }
        }
    }

    /// What a turn found, behind `before` octets that others consumed.
    fn settle<'b>(&mut self, turn: Turn<'b>, before: usize) -> Step<Event<'b>> {
        let (Again(n) | Wait(n) | Found(n, _)) = turn;
        self.consumed = self.consumed.saturating_add(n as u64);
        let event = match turn {
            Found(_, event) => Some(event),
            Again(_) | Wait(_) => {
                let offset = self.consumed;
                self.failed.take().map(|kind| Event::Failed(Failure { kind, offset }))
            }
        };
        Step { consumed: before + n, event }
    }

    #[inline(always)]
    fn one_turn<'b>(&mut self, now: Instant, bytes: &'b [u8], room: usize) -> Turn<'b> {
        match self.rx {
            Rx::Idle { blank } => self.between(now, bytes, room, blank),
            Rx::Head(scan) => self.head(now, bytes, room, scan),
            Rx::Held(_) => {
                if !bytes.is_empty() {
                    // S8.8: content is here, so nobody waits for a 100.
                    self.flags &= !is::EXPECT;
                }
                Wait(0)
            }
            Rx::Reading(body) => self.content(now, bytes, room, body),
            Rx::Discard(left) => self.discard(now, bytes, left),
            Rx::Whole if self.tx == Tx::Tunnel => {
                self.enter(Rx::Tunnel);
                Wait(0)
            }
            // S4.3, S6.3: behind a message that closes nothing is parsed.
            Rx::Whole if self.verdict.is_some() => self.swallow(bytes),
            Rx::Sink { octets } => {
                self.enter(Rx::Sink { octets: add(octets, bytes.len()) });
                self.swallow(bytes)
            }
            Rx::Linger { octets } => self.linger(now, bytes, octets),
            Rx::Over => Wait(bytes.len()),
            Rx::Whole => {
                self.note_more(bytes);
                Wait(0)
            }
            Rx::Tunnel => Wait(0),
        }
    }

    /// Notes whether anything stands behind the present request.
    fn note_more(&mut self, rest: &[u8]) {
        self.flags |= if rest.is_empty() { 0 } else { is::MORE };
    }

    fn swallow<'b>(&mut self, bytes: &[u8]) -> Turn<'b> {
        if !bytes.is_empty() {
            self.flags |= is::SURPLUS;
        }
        Wait(bytes.len())
    }

    fn linger<'b>(&mut self, now: Instant, bytes: &[u8], octets: u32) -> Turn<'b> {
        if !bytes.is_empty() {
            self.touch(now);
            let octets = add(octets, bytes.len());
            self.enter(Rx::Linger { octets });
            if octets > limits::LINGER {
                self.give_up(CloseReason::LingerOverflow, None);
            }
        }
        Wait(bytes.len())
    }

    /// Between requests: passes over empty lines, up to a limit (S8.4).
    #[inline(always)]
    fn between<'b>(&mut self, now: Instant, bytes: &'b [u8], room: usize, blank: u8) -> Turn<'b> {
        match bytes {
            [] if self.flags & is::EOF != 0 => {
                self.decide(CloseReason::PeerClosed);
                self.enter(Rx::Sink { octets: 0 });
                self.tx = Tx::Done;
                Wait(0)
            }
            [] => Wait(0),
            [b'\r'] if self.flags & is::EOF != 0 => self.cut_short(Kind::IncompleteHead, bytes),
            [b'\r'] => Wait(0),
            [b'\r', b'\n', ..] => {
                if blank == limits::BLANK_LINES {
                    return self.fail(Fault::new(Kind::EmptyLines, 0), bytes);
                }
                self.enter(Rx::Idle { blank: blank + 1 });
                Again(2)
            }
            _ => {
                let scan = Scan::new();
                self.enter(Rx::Head(scan));
                self.touch(now);
                self.begun = self.begun.max(now);
                self.head(now, bytes, room, scan)
            }
        }
    }

    fn head<'b>(&mut self, now: Instant, bytes: &'b [u8], room: usize, mut scan: Scan) -> Turn<'b> {
        if room == 0 {
            self.flags |= is::PAUSED;
            return Wait(0);
        }
        self.resume(now);
        let mut head = RequestHead::unread();
        match self.scan_on(now, bytes, &mut scan, &mut head) {
            Ok(Some(n)) => Found(n, Event::Request(head)),
            Ok(None) => self.incomplete(bytes, scan),
            Err(fault) => self.fail(fault, bytes),
        }
    }

    fn incomplete<'b>(&mut self, bytes: &[u8], scan: Scan) -> Turn<'b> {
        if self.flags & is::EOF != 0 {
            return self.cut_short(Kind::IncompleteHead, bytes);
        }
        self.enter(Rx::Head(scan));
        Wait(0)
    }

    /// A head is whole with its first `n` octets: judges it, and accepts it.
    #[inline(always)]
    fn whole<'b>(
        &mut self,
        now: Instant,
        bytes: &'b [u8],
        n: usize,
        scan: &Scan,
        head: &mut RequestHead<'b>,
    ) -> Result<(), Fault> {
        let (own, rest) = bytes.split_at_checked(n).unwrap_or((bytes, b""));
        head.judge(own, scan, self.config.demands())?;
        if cfg!(debug_assertions) {
            // One that came whole was never carried.
            self.enter(Rx::Head(*scan));
        }
        self.accept(now, head, !rest.is_empty());
        if !head.has_content() {
            self.note_more(rest);
        }
        Ok(())
    }

    /// A request is accepted: notes what its exchange will be decided on.
    #[inline(always)]
    fn accept(&mut self, now: Instant, head: &RequestHead<'_>, more: bool) {
        let noted = head.noted();
        let http10 = noted.is_http10();
        let origin = !self.config.is_proxy();
        self.served = self.served.saturating_add(1);
        let mut f = self.facts.only(SERVER_STICKY);
        // What nothing was noted for cannot be a fact.
        if http10 || noted.has(DECIDES) {
            f.set(ServerFacts::close, noted.has(flag::CLOSE));
            f.set(ServerFacts::http10, http10);
            // S9.4: the legacy of clients that mean a proxy by it, where no relay can have passed it on.
            let legacy = self.config.heeds_proxy_connection()
                && !origin
                && noted.has(flag::PROXY_KEEP_ALIVE)
                && noted.has(flag::ABSOLUTE)
                && !noted.has(flag::VIA);
            f.set(ServerFacts::keep_alive, noted.has(flag::KEEP_ALIVE) || http10 && legacy);
            f.set(ServerFacts::proxy, http10 && !origin && !legacy);
            // S9.6: signs that a relay between us passes on what it does not understand.
            let relay = noted.has(flag::VIA)
                || noted.has(flag::PROXY_CONNECTION)
                || noted.has(flag::ABSOLUTE);
            f.set(ServerFacts::relayed, http10 && origin && relay);
            f.set(ServerFacts::options_bad, noted.has(flag::OPTIONS_BAD));
            let with_length = noted.has(flag::LENGTH) || noted.has(flag::LENGTH_BAD);
            f.set(ServerFacts::coding_unsafe, noted.has(flag::CODING) && (http10 || with_length));
        }
        let limit = self.config.max_requests;
        f.set(ServerFacts::last, limit > 0 && self.served >= limit);
        f.set(ServerFacts::pressure, self.config.idle.as_millis() == 0);
        self.facts = f;
        self.grow_old(now);

        self.flags = self.flags & !is::OF_REQUEST | is::USED;
        let mut note = |bit, on| self.flags |= if on { bit } else { 0 };
        note(is::HEAD, head.is_head());
        note(is::CONNECT, head.is_connect());
        note(is::EXPECT, head.expects_continue() && !more);
        note(is::UNTOLD, head.expects_continue() && origin);
        self.offered = Protocols::NONE;
        if head.offers_upgrade() {
            head.upgrade().for_each(|p| self.offered.add(p));
        }
        let rx = match head.framing() {
            // Nothing to be asked for: the end comes by itself.
            RequestFraming::None | RequestFraming::Length(0) => Rx::Reading(Inbound::Length(0)),
            RequestFraming::Length(n) => Rx::Held(Inbound::Length(n)),
            RequestFraming::Chunked => Rx::Held(Inbound::Chunked(crate::chunked::Decoder::new())),
        };
        self.enter(rx);
        self.tx = Tx::Owed;
        self.touch(now);
    }

    fn content<'b>(
        &mut self,
        now: Instant,
        bytes: &'b [u8],
        room: usize,
        mut body: Inbound,
    ) -> Turn<'b> {
        let eof = self.flags & is::EOF != 0;
        let (n, piece) = match body.step(bytes, room, &self.config.trailer_rules(), false) {
            Ok(found) => found,
            Err(fault) => return self.fail(fault, bytes),
        };
        self.enter(Rx::Reading(body));
        // Something is there, and the driver has no room: the peer is not to blame (S3).
        let held = piece == Piece::Nothing && room == 0 && bytes.len() > n;
        if !held {
            self.resume(now);
        }
        if n > 0 {
            self.content_came(now, n as u64);
        }
        match piece {
            Piece::Content(range) => Found(n, Event::Content(bytes.get(range).unwrap_or_default())),
            Piece::End(range) => {
                self.whole_request(now, bytes.get(n..).unwrap_or_default());
                Found(n, Event::End(Trailers::new(bytes.get(range).unwrap_or_default())))
            }
            Piece::Nothing if held => {
                if self.flags & is::PAUSED == 0 {
                    self.flags |= is::PAUSED;
                    self.touch(now);
                }
                Wait(n)
            }
            Piece::Nothing => match body.cut_short().filter(|_| eof) {
                Some(kind) => self.cut_short(kind, bytes),
                None => Wait(n),
            },
        }
    }

    /// The content is whole, or there is none; `rest` stands behind it.
    #[inline]
    pub(super) fn whole_request(&mut self, now: Instant, rest: &[u8]) {
        self.flags |= is::WHOLE;
        self.flags &= !is::EXPECT;
        self.note_more(rest);
        self.enter(Rx::Whole);
        self.turn(now);
    }

    /// Content arrived, or went past.
    #[inline]
    pub(super) fn content_came(&mut self, now: Instant, n: u64) {
        self.expect_no_more(now);
        self.touch(now);
        if self.config.min_rate > 0 {
            let earned = n.saturating_mul(1_000_000) / u64::from(self.config.min_rate);
            self.rate = self.rate.plus_micros(earned);
        }
    }

    /// Nobody waits for a 100 any more: it is out, or content comes without it.
    #[inline]
    pub(super) fn expect_no_more(&mut self, now: Instant) {
        if self.flags & is::EXPECT != 0 {
            self.resume(now);
            self.flags &= !is::EXPECT;
        }
    }

    /// What the peer had to wait for is over, if there was anything: back-pressure, an application that had
    /// yet to ask for the content, or a 100 that had yet to go out. The peer gets its time back.
    pub(super) fn resume(&mut self, now: Instant) {
        if self.flags & is::PAUSED != 0 || matches!(self.rx, Rx::Held(_)) || self.is_100_due() {
            self.flags &= !is::PAUSED;
            let waited = now.since(self.since).as_micros() as u64;
            self.rate = self.rate.plus_micros(waited);
            self.begun = self.begun.plus_micros(waited);
            self.touch(now);
        }
    }

    fn discard<'b>(&mut self, now: Instant, bytes: &[u8], left: u64) -> Turn<'b> {
        let n = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if n > 0 {
            self.content_came(now, n as u64);
        }
        let left = left - n as u64;
        self.enter(Rx::Discard(left));
        if left == 0 {
            self.flags |= is::WHOLE;
            self.note_more(bytes.get(n..).unwrap_or_default());
            self.enter(Rx::Whole);
            self.turn(now);
            return Again(n);
        }
        if self.flags & is::EOF != 0 {
            self.decide(CloseReason::PeerClosed);
            self.enter(Rx::Sink { octets: 0 });
        }
        Wait(n)
    }

    /// The peer broke a rule: nothing that follows is interpreted (S6.3, S8.12).
    fn fail<'b>(&mut self, fault: Fault, bytes: &[u8]) -> Turn<'b> {
        let offset = self.consumed.saturating_add(fault.at as u64);
        self.refuse(fault.kind, CloseReason::Refused);
        Found(bytes.len(), Event::Failed(Failure { kind: fault.kind, offset }))
    }

    /// The peer closed in the middle of a message (S6.5).
    fn cut_short<'b>(&mut self, kind: Kind, bytes: &[u8]) -> Turn<'b> {
        let offset = self.consumed.saturating_add(bytes.len() as u64);
        self.refuse(kind, CloseReason::PeerClosed);
        Found(bytes.len(), Event::Failed(Failure { kind, offset }))
    }

    /// Stops reading the present message. An answer of the machine's own becomes due where there is
    /// one to give and no response has begun.
    pub(super) fn refuse(&mut self, kind: Kind, reason: CloseReason) {
        self.decide(reason);
        self.flags &= !is::EXPECT;
        self.enter(Rx::Sink { octets: 0 });
        if matches!(self.tx, Tx::Quiet | Tx::Owed) {
            match kind.status() {
                Some(status) => {
                    self.facts.set(ServerFacts::refused, true);
                    // S6.1: one that cannot be talked with is not waited for as long.
                    self.flags |= if matches!(status, 400 | 408) { is::ERRED } else { 0 };
                    self.tx = Tx::Own(status);
                }
                None => self.tx = Tx::Done,
            }
        }
    }
}

/// A count of octets that only has to tell too many from few.
fn add(octets: u32, n: usize) -> u32 {
    octets.saturating_add(u32::try_from(n).unwrap_or(u32::MAX))
}
