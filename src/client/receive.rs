//! The inbound half: bytes to events.

use super::queue::sent;
use super::{Connection, Event, Rx, Tx, is};
use crate::action::Step;
use crate::content::{Inbound, Piece};
use crate::error::{Failure, Fault, Kind};
use crate::framing::ResponseFraming;
use crate::grammar::{self, Protocols};
use crate::head::fields::Trailers;
use crate::head::index::Index;
use crate::head::note::{Noted, flag};
use crate::head::response::{Context, ResponseHead};
use crate::head::scan::Scan;
use crate::limits;
use crate::persistence::{self, ClientFacts, CloseReason, Hints};
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

/// All that the fields of a response can say about persistence, but for what keeps it.
const DECIDES: u32 = flag::CLOSE | flag::OPTIONS_BAD | flag::CODING;

impl Connection {
    /// A whole chunk, if it is plain to see; nothing has changed if not.
    #[inline(always)]
    pub(super) fn whole_chunk<'b>(
        &mut self,
        now: Instant,
        unread: &'b [u8],
        room: usize,
    ) -> Option<Step<Event<'b>>> {
        let Rx::Reading(body) = &mut self.rx else { return None };
        let (n, piece) = body.whole_chunk(unread, room)?;
        self.consumed = self.consumed.saturating_add(n as u64);
        self.touch(now);
        Some(Step::found(n, Event::Content(piece)))
    }

    /// The first octets of a head are here; perhaps all of them. Apart, since it takes much of the stack.
    #[inline(never)]
    pub(super) fn begin_head<'b>(&mut self, now: Instant, bytes: &'b [u8]) -> Step<Event<'b>> {
        let mut scan = Scan::new();
        let mut index = Index::new();
        let found = scan.advance(bytes, &self.config.head_rules(), &mut index);
        if let Ok(Some(n)) = found
            && scan.noted().status() >= 200
            && let Ok(framing) = self.framed(n, &scan)
        {
            self.enter(Rx::Head(scan));
            let whole = bytes.get(..n).unwrap_or(bytes);
            let (noted, length) = (scan.noted(), scan.length());
            self.finally(now, &noted, framing, ResponseHead::hints(whole, &noted, &index));
            self.consumed = self.consumed.saturating_add(n as u64);
            // Made where it is returned: it is large.
            let head = ResponseHead::new(whole, noted, length, &index, framing);
            return Step::found(n, Event::Response(head));
        }
        self.enter(Rx::Head(scan));
        let turn = self.scanned(now, bytes, found, &scan, &index);
        self.settle_turn(turn, 0)
    }

    #[inline(never)]
    pub(super) fn turns<'b>(
        &mut self,
        now: Instant,
        unread: &'b [u8],
        room: usize,
    ) -> Step<Event<'b>> {
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
                turn => return self.settle_turn(turn, consumed),
            }
        }
    }

    /// What a turn found, behind `before` octets that others consumed.
    fn settle_turn<'b>(&mut self, turn: Turn<'b>, before: usize) -> Step<Event<'b>> {
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

    fn one_turn<'b>(&mut self, now: Instant, bytes: &'b [u8], room: usize) -> Turn<'b> {
        match self.rx {
            Rx::Idle | Rx::Await => self.between(bytes),
            Rx::Head(scan) => self.head(now, bytes, room, scan),
            Rx::Reading(_) => self.content(now, bytes, room),
            Rx::Discard { body, budget } => self.discard(now, bytes, body, budget),
            Rx::Surplus => self.surplus(bytes),
            Rx::Sink | Rx::Over => Wait(bytes.len()),
            Rx::Tunnel => Wait(0),
        }
    }

    /// Before a status line, or where none is expected: one rule for stray empty lines (S2.5).
    fn between<'b>(&mut self, bytes: &[u8]) -> Turn<'b> {
        match bytes {
            [] if self.flags & is::EOF == 0 => Wait(0),
            [] if matches!(self.rx, Rx::Idle) => {
                self.facts.set(ClientFacts::eof, true);
                self.decide(CloseReason::PeerClosed);
                self.enter(Rx::Over);
                Wait(0)
            }
            [] => self.fail(Fault::new(Kind::NoResponse, 0), bytes),
            [b'\r' | b'\n', ..] if self.blank < limits::BLANK_OCTETS => {
                self.blank += 1;
                Again(1)
            }
            [..] if matches!(self.rx, Rx::Idle) => {
                self.facts.set(ClientFacts::surplus, true);
                self.decide(CloseReason::Surplus);
                self.enter(Rx::Surplus);
                Again(0)
            }
            [b'\r' | b'\n', ..] => self.fail(Fault::new(Kind::EmptyLines, 0), bytes),
            // S2.5: what comes before any octet of the request went out does not answer it.
            [..] if !self.queue.has(0, sent::BEGUN) => {
                self.fail(Fault::new(Kind::Unsolicited, 0), bytes)
            }
            [..] => {
                self.enter(Rx::Head(Scan::new()));
                Again(0)
            }
        }
    }

    /// Bytes that no request asked for. The verdict has fallen; a 408 that the server sent to an
    /// idle connection is worth telling apart, once its status line is whole.
    fn surplus<'b>(&mut self, bytes: &[u8]) -> Turn<'b> {
        const LONGEST: usize = 256;
        let eof = self.flags & is::EOF != 0;
        let pattern = |(i, &b): (usize, &u8)| match i {
            7 => b.is_ascii_digit(),
            12 => matches!(b, b' ' | b'\r'),
            _ => b"HTTP/1.1 408".get(i).is_some_and(|&p| p == b),
        };
        let line = memchr::memchr(b'\n', bytes);
        if bytes.iter().take(13).enumerate().all(pattern) {
            match line {
                Some(_) => self.verdict = Some(CloseReason::Idle408),
                None if !eof && bytes.len() < LONGEST => return Wait(0),
                None => {}
            }
        }
        self.enter(Rx::Sink);
        Wait(bytes.len())
    }

    fn head<'b>(&mut self, now: Instant, bytes: &'b [u8], room: usize, mut scan: Scan) -> Turn<'b> {
        if room == 0 {
            self.flags |= is::PAUSED;
            return Wait(0);
        }
        self.resume(now);
        let mut index = Index::new();
        let found = scan.advance(bytes, &self.config.head_rules(), &mut index);
        self.scanned(now, bytes, found, &scan, &index)
    }

    /// What a scan of a head has come to.
    #[inline(never)]
    fn scanned<'b>(
        &mut self,
        now: Instant,
        bytes: &'b [u8],
        found: Result<Option<usize>, Fault>,
        scan: &Scan,
        index: &Index,
    ) -> Turn<'b> {
        let n = match found {
            Ok(Some(n)) => n,
            Ok(None) => return self.incomplete(bytes, *scan),
            Err(fault) => return self.fail(fault, bytes),
        };
        let framing = match self.framed(n, scan) {
            Ok(framing) => framing,
            Err(fault) => return self.fail(fault, bytes),
        };
        let whole = bytes.get(..n).unwrap_or(bytes);
        let (noted, length) = (scan.noted(), scan.length());
        let head = ResponseHead::new(whole, noted, length, index, framing);
        if head.is_interim() {
            return match self.interim(now, &head) {
                Ok(()) => Found(n, Event::Interim(head)),
                Err(kind) => self.fail(Fault::new(kind, n), bytes),
            };
        }
        if head.status() == 101 && !self.switch_allowed(&head) {
            return self.fail(Fault::new(Kind::SwitchRefused, n), bytes);
        }
        self.finally(now, &noted, framing, ResponseHead::hints(whole, &noted, index));
        Found(n, Event::Response(head))
    }

    fn incomplete<'b>(&mut self, bytes: &[u8], scan: Scan) -> Turn<'b> {
        if self.flags & is::EOF != 0 {
            return self.fail(Fault::new(Kind::IncompleteHead, bytes.len()), bytes);
        }
        self.enter(Rx::Head(scan));
        Wait(0)
    }

    /// A head is whole with its first `n` octets: what it means to the oldest request.
    #[inline(always)]
    fn framed(&self, n: usize, scan: &Scan) -> Result<ResponseFraming, Fault> {
        let oldest = self.queue.oldest();
        let context = Context {
            head: oldest & sent::HEAD != 0,
            connect: oldest & sent::CONNECT != 0,
            tolerant: self.config.is_tolerant(),
            raw: self.config.is_raw(),
        };
        ResponseHead::framed(&scan.noted(), scan.length(), n, context)
    }

    fn interim(&mut self, now: Instant, head: &ResponseHead<'_>) -> Result<(), Kind> {
        self.interim = self.interim.saturating_add(1);
        if self.interim > limits::INTERIM {
            return Err(Kind::TooManyInterim);
        }
        self.facts.set(ClientFacts::close, head.says_close());
        self.facts.set(ClientFacts::options_bad, head.has(flag::OPTIONS_BAD));
        if head.status() == 100 {
            self.flags &= !is::WAITING;
        }
        self.blank = 0;
        self.touch(now);
        self.enter(Rx::Await);
        Ok(())
    }

    /// S8.9: a 101 answers an offer, with a protocol of the offer.
    fn switch_allowed(&self, head: &ResponseHead<'_>) -> bool {
        let mut chosen = Protocols::NONE;
        head.fields()
            .filter(|line| line.is("upgrade"))
            .flat_map(|line| grammar::members(line.value))
            // A 101 must name what it switches to (RFC 9110 §15.2.2); an empty member names nothing.
            .filter(|p| !p.is_empty())
            .for_each(|p| chosen.add(p));
        self.queue.has(0, sent::UPGRADE) && self.offered.allow(chosen)
    }

    /// A final head: notes what its exchange will be decided on.
    #[inline(always)]
    fn finally(&mut self, now: Instant, noted: &Noted, framing: ResponseFraming, hints: Hints) {
        let http10 = noted.is_http10();
        let keep = noted.has(flag::KEEP_ALIVE);
        self.status = noted.status();
        if let Tx::Sending(_) = self.tx {
            self.early(noted);
        }

        let sent_close = self.queue.oldest() & sent::CLOSE != 0;
        // Gathered apart, and stored once.
        let mut f = self.facts;
        f.set(ClientFacts::tunnel, framing == ResponseFraming::Tunnel);
        f.set(ClientFacts::sent_close, sent_close);
        f.set(ClientFacts::keep_alive, keep);
        f.set(ClientFacts::undelimited, framing == ResponseFraming::UntilClose);
        f.set(ClientFacts::timed_out, noted.status() == 408);
        // What nothing was noted for cannot be a fact.
        if http10 || noted.has(DECIDES) {
            f.set(ClientFacts::close, noted.has(flag::CLOSE));
            f.set(ClientFacts::http10, http10);
            f.set(ClientFacts::options_bad, noted.has(flag::OPTIONS_BAD));
            let with_length = noted.has(flag::LENGTH) || noted.has(flag::LENGTH_BAD);
            f.set(ClientFacts::coding_unsafe, noted.has(flag::CODING) && (http10 || with_length));
        }

        // S2.2: without the option only `timeout` counts, and only on 1.1.
        let hinted = keep || !http10 && !self.config.is_strict_about_hints();
        let timeout = hints.timeout.filter(|_| hinted);
        f.set(ClientFacts::zero_timeout, timeout == Some(0));
        self.usable = self.config.usable(timeout);
        self.left = match hints.max.filter(|_| keep) {
            Some(max) => max.min(u32::MAX - 1),
            None if self.left == u32::MAX => u32::MAX,
            None => self.left.saturating_sub(1),
        };
        f.set(ClientFacts::zero_max, self.left == 0);
        self.facts = f;

        let proven = !http10 && persistence::client(f).is_none();
        let mut flags = self.flags & !is::OLD_PEER;
        flags |= if http10 { is::OLD_PEER } else { 0 };
        flags |= if proven { is::PROVEN } else { 0 };
        self.flags = flags;
        self.touch(now);
        self.enter(Rx::Reading(match framing {
            ResponseFraming::None | ResponseFraming::Tunnel => Inbound::Length(0),
            ResponseFraming::Length(n) => Inbound::Length(n),
            ResponseFraming::Chunked => Inbound::Chunked(crate::chunked::Decoder::new()),
            ResponseFraming::UntilClose => Inbound::UntilClose,
        }));
    }

    /// A final response before the request is sent: whether to go on sending (S2.5).
    #[inline(never)]
    fn early(&mut self, noted: &Noted) {
        let Tx::Sending(out) = self.tx else { return };
        let budget = u64::from(self.config.early_finish);
        let small = matches!(out, crate::content::Outbound::Length(left) if left <= budget);
        let go_on = noted.status() < 300 || small && !noted.has(flag::CLOSE);
        self.flags &= !is::WAITING;
        if !go_on {
            self.stop_sending();
        }
    }

    fn content<'b>(&mut self, now: Instant, bytes: &'b [u8], room: usize) -> Turn<'b> {
        let Rx::Reading(body) = &mut self.rx else { return Wait(0) };
        let (n, piece) = match body.step(bytes, room, &self.config.trailer_rules(), true) {
            Ok(found) => found,
            Err(fault) => return self.fail(fault, bytes),
        };
        if n > 0 {
            self.touch(now);
        }
        match piece {
            Piece::Content(range) => {
                self.resume(now);
                Found(n, Event::Content(bytes.get(range).unwrap_or_default()))
            }
            Piece::End(range) => {
                self.resume(now);
                self.finish_exchange(now);
                Found(n, Event::End(Trailers::new(bytes.get(range).unwrap_or_default())))
            }
            Piece::Nothing if room == 0 && bytes.len() > n => {
                if self.flags & is::PAUSED == 0 {
                    self.flags |= is::PAUSED;
                    self.touch(now);
                }
                Wait(n)
            }
            Piece::Nothing if self.flags & is::EOF != 0 => match self.cut_short() {
                Some(kind) => self.fail(Fault::new(kind, bytes.len()), bytes),
                None => {
                    self.finish_exchange(now);
                    Found(n, Event::End(Trailers::NONE))
                }
            },
            Piece::Nothing => {
                self.resume(now);
                Wait(n)
            }
        }
    }

    /// What EOF means here. S6.7: an EOF that may be a truncation completes nothing.
    fn cut_short(&self) -> Option<Kind> {
        let Rx::Reading(body) = &self.rx else { return None };
        match body.cut_short() {
            None if self.flags & is::TRUNCATED != 0 => Some(Kind::IncompleteContent),
            kind => kind,
        }
    }

    /// Back-pressure, if there was any, is over: the peer gets its time back.
    fn resume(&mut self, now: Instant) {
        if self.flags & is::PAUSED != 0 {
            self.flags &= !is::PAUSED;
            self.touch(now);
        }
    }

    fn discard<'b>(
        &mut self,
        now: Instant,
        bytes: &[u8],
        mut body: Inbound,
        budget: u32,
    ) -> Turn<'b> {
        let (n, piece) = match body.step(bytes, usize::MAX, &self.config.trailer_rules(), true) {
            Ok(found) => found,
            // Beyond the budget nothing is looked for, however much was there to be looked at.
            Err(fault) if fault.at <= budget as usize => {
                self.facts.set(ClientFacts::invalid, true);
                self.finish_exchange(now);
                return self.discarded(fault.at);
            }
            Err(fault) => (fault.at, Piece::Nothing),
        };
        let cost = u32::try_from(n).unwrap_or(u32::MAX);
        let eof = piece == Piece::Nothing && self.flags & is::EOF != 0;
        match budget.checked_sub(cost) {
            Some(budget) if !eof => {
                self.enter(Rx::Discard { body, budget });
                match piece {
                    Piece::End(_) => self.finish_exchange(now),
                    Piece::Nothing => return Wait(n),
                    Piece::Content(_) => {}
                }
                self.discarded(n)
            }
            _ => {
                self.facts.set(ClientFacts::discard, true);
                self.finish_exchange(now);
                self.discarded(n.min(budget as usize))
            }
        }
    }

    /// Goes on behind what was discarded; but if the requests behind it have failed with it, that is told
    /// first, so that where it was does not depend on what else is there.
    fn discarded<'b>(&self, n: usize) -> Turn<'b> {
        if self.failed.is_some() { Wait(n) } else { Again(n) }
    }

    /// The response is broken or will not come: nothing that follows is interpreted.
    fn fail<'b>(&mut self, fault: Fault, bytes: &[u8]) -> Turn<'b> {
        let offset = self.consumed.saturating_add(fault.at as u64);
        let kind = fault.kind;
        // A head that is broken is part of an answer all the same (S5).
        let answered = matches!(self.rx, Rx::Head(_));
        self.fate = Some(if answered { Kind::IncompleteHead } else { kind });
        let closed = matches!(
            kind,
            Kind::NoResponse
                | Kind::IncompleteHead
                | Kind::IncompleteContent
                | Kind::IncompleteTrailers
        );
        let reason = match kind {
            Kind::Unsolicited => CloseReason::Surplus,
            _ if closed => CloseReason::PeerClosed,
            _ => CloseReason::ResponseInvalid,
        };
        self.decide(reason);
        // S2.5: a switch that nobody asked for is not to be waited out.
        if kind == Kind::SwitchRefused {
            self.aborted = Some(reason);
        }
        self.enter(Rx::Over);
        self.tx = Tx::Stopped;
        Found(bytes.len(), Event::Failed(Failure { kind, offset }))
    }
}
