//! The outbound half: requests and their content.

use super::queue::sent;
use super::{Connection, Reuse, Rx, Tx, is};
use crate::content::{Content, Frame, Moved, Outbound, Plan, Started};
use crate::encode::{self, Declared, Own, Told, Writer};
use crate::error::{Part, SendError};
use crate::head::fields::Line;
use crate::limits;
use crate::prepared::Field;
use crate::time::Instant;

/// What the queue is to know of a method: among it, whether its effect is the same done twice (RFC 9110
/// §9.2.2).
#[inline]
fn facts_of(method: &str) -> u8 {
    match method {
        "GET" | "OPTIONS" | "TRACE" | "PUT" | "DELETE" => sent::IDEMPOTENT,
        "HEAD" => sent::IDEMPOTENT | sent::HEAD,
        "CONNECT" => sent::CONNECT,
        _ => 0,
    }
}

/// A request that is being written.
struct Draft<'o> {
    w: Writer<'o>,
    own: Own,
    plan: Plan,
    /// Facts about it, of [`sent`].
    bits: u8,
    pipelined: bool,
}

impl Connection {
    /// Makes a request. The first on a connection needs nothing; each later one needs
    /// [`checkout`](Self::checkout) first, unless it is pipelined.
    ///
    /// The machine adds what belongs to it: `Connection`, `Content-Length`, `Transfer-Encoding`.
    /// `Host` is the caller's, and must be there on 1.1. With `Expect: 100-continue` the content is
    /// held until the server wants it or [`Timer::ContinueWait`](crate::Timer::ContinueWait)
    /// expires: send it when [`Wants::content`](crate::Wants::content) is true. `close` in a
    /// `Connection` line makes this the last request.
    ///
    /// # Errors
    /// [`SendError::NotReady`] with the state that is in the way; [`SendError::Invalid`] for what must
    /// not be sent; [`SendError::Short`] with what is needed.
    pub fn request<'f>(
        &mut self,
        now: Instant,
        method: &str,
        target: impl AsRef<[u8]>,
        fields: impl IntoIterator<Item = impl Into<Field<'f>>>,
        content: Content,
        out: &mut [u8],
    ) -> Result<Started, SendError> {
        let mut draft = Draft {
            w: Writer::new(out),
            own: Own::new(Declared::NOTHING),
            plan: Plan::None,
            bits: 0,
            pipelined: false,
        };
        self.ask(now, method, target.as_ref(), content, &mut draft)?;
        encode::each_field(&mut draft.w, fields, &mut draft.own)?;
        self.asked(now, &mut draft)
    }

    /// What comes before the fields. Not generic, and apart, as is what comes behind them: the same code
    /// for all callers.
    #[inline]
    fn ask(
        &self,
        now: Instant,
        method: &str,
        target: &[u8],
        content: Content,
        draft: &mut Draft<'_>,
    ) -> Result<(), SendError> {
        draft.pipelined = self.queue.len() > 0;
        let follows = draft.pipelined;
        let ready = if follows { self.may_follow(method, content) } else { self.may_begin(now) };
        ready.map_err(SendError::NotReady)?;
        let http10 = self.config.is_http10();
        // RFC 9112 §6.1: chunked only to a server that is not known to be of 1.0.
        let old = http10 || self.flags & is::OLD_PEER != 0;
        draft.bits = facts_of(method);
        draft.plan = shape(method, content, old).map_err(SendError::Invalid)?;
        draft.own.declared = Declared::of(draft.plan);
        let minor = if http10 { 0 } else { 1 };
        encode::request_line(&mut draft.w, method, target, minor).map_err(SendError::Invalid)
    }

    #[inline(never)]
    fn asked(&mut self, now: Instant, draft: &mut Draft<'_>) -> Result<Started, SendError> {
        let Draft { w, own: Own { declared, told }, plan, bits, pipelined } = draft;
        let (plan, mut bits, pipelined) = (*plan, *bits, *pipelined);
        let has_content = !matches!(plan, Plan::None | Plan::Length(0));
        self.check(told, has_content, pipelined)?;
        let upgrade = !told.upgrade.is_empty();
        let close = told.close || self.config.is_one_shot() || self.is_last();
        // S2.4: asked for at every request, and never of a proxy.
        let keep = !close && !self.config.is_to_proxy();
        if keep && !upgrade && !told.te {
            w.put(b"Connection: keep-alive\r\n");
        } else {
            encode::connection(
                w,
                &[
                    (close, b"close"),
                    (keep, b"keep-alive"),
                    (upgrade, b"upgrade"),
                    (told.te, b"TE"),
                ],
            );
        }
        encode::framing(w, *declared);
        w.put(b"\r\n");
        let written = w.finish()?;

        // From here on nothing fails.
        let mut note = |bit, on| bits |= if on { bit } else { 0 };
        note(sent::UPGRADE, upgrade);
        note(sent::EXPECT, told.expect);
        note(sent::CLOSE, close);
        let first = self.flags & is::USED == 0;
        note(sent::FIRST, first && !self.config.is_stale(now.since(self.born)));
        self.queue.push(bits, self.owed);
        self.offered = told.upgrade;
        if !pipelined {
            self.enter(Rx::Await);
            self.touch(now);
        }
        self.wrote(now, written as u64);
        debug_assert_eq!(has_content, !Outbound::of(plan).is_done());
        self.tx = if has_content { Tx::Sending(Outbound::of(plan)) } else { Tx::Quiet };
        let waiting = if told.expect { is::WAITING } else { 0 };
        self.flags = (self.flags | is::USED) & !(is::CHECKED | is::WAITING) | waiting;
        Ok(Started { written, plan: if has_content { plan } else { Plan::None } })
    }

    /// Whether the server takes no request behind the one that is now made (S2.3).
    fn is_last(&self) -> bool {
        self.left().is_some_and(|left| left as usize <= self.queue.len() + 1)
    }

    /// Whether a request may begin on an idle connection.
    #[inline]
    fn may_begin(&self, now: Instant) -> Result<(), Reuse> {
        match self.state(now) {
            Reuse::Ready { .. } | Reuse::ImmediateOnly
                if self.flags & (is::USED | is::CHECKED) == is::USED =>
            {
                Err(Reuse::Unchecked)
            }
            Reuse::Ready { .. } | Reuse::ImmediateOnly => Ok(()),
            state => Err(state),
        }
    }

    /// Whether a request may be pipelined behind those in flight (S7.4).
    fn may_follow(&self, method: &str, content: Content) -> Result<(), Reuse> {
        let open = self.queue.len();
        let fine = |nth| {
            let refused = [sent::CONNECT, sent::UPGRADE, sent::CLOSE];
            // What is not idempotent is out of the way once its final status is there.
            let known = nth == 0 && self.status > 0;
            (known || self.queue.has(nth, sent::IDEMPOTENT))
                && !refused.iter().any(|&bit| self.queue.has(nth, bit))
        };
        let allowed = self.config.may_pipeline()
            && self.flags & is::PROVEN != 0
            && self.flags & is::EOF == 0
            && self.verdict.is_none()
            // Known from the head of the response on, interim or final (RFC 9112 §9.6).
            && crate::persistence::client(self.facts).is_none()
            && self.tx == Tx::Quiet
            && u32::try_from(self.owed).is_ok()
            && open < limits::PIPELINE.min(usize::try_from(self.left).unwrap_or(usize::MAX))
            && facts_of(method) & sent::IDEMPOTENT != 0
            && content == Content::None
            && (0..open).all(fine);
        if allowed { Ok(()) } else { Err(self.verdict.map_or(Reuse::Busy, Reuse::No)) }
    }

    /// What the fields must agree on with the rest of the request.
    fn check(&self, told: &Told, content: bool, pipelined: bool) -> Result<(), SendError> {
        let http10 = self.config.is_http10();
        if told.hosts > 1 || told.host_bad || told.hosts == 0 && !http10 {
            return Err(SendError::Invalid(Part::Host));
        }
        // RFC 9110 §10.1.1, S8.9: nothing of this exists on 1.0, or without content.
        if told.expect && (http10 || !content) {
            return Err(SendError::Invalid(Part::Content));
        }
        if !told.upgrade.is_empty() && (http10 || pipelined) {
            return Err(SendError::Invalid(Part::Upgrade));
        }
        Ok(())
    }

    /// Sends content: copies as much of it as fits into `out`, wrapped as the plan says.
    ///
    /// # Errors
    /// [`SendError::NotNow`] while no content may be sent: ask [`wants`](Self::wants).
    /// [`SendError::Length`] if it is more than was declared.
    pub fn send(
        &mut self,
        now: Instant,
        content: &[u8],
        out: &mut [u8],
    ) -> Result<Moved, SendError> {
        let mut sending = self.outbound()?;
        let moved = sending.send(content, out)?;
        self.sent(now, sending, moved.written as u64);
        Ok(moved)
    }

    /// Sends `len` octets of content without copying them: the caller puts them between the frame's
    /// prefix and suffix, on the wire or in a buffer, and reports all of it as transmitted.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn frame(&mut self, now: Instant, len: u64) -> Result<Frame, SendError> {
        let mut sending = self.outbound()?;
        let frame = sending.frame(len)?;
        self.sent(now, sending, frame.total());
        Ok(frame)
    }

    /// Ends content of unknown length, with trailers. Has no effect on content that has ended by
    /// itself.
    ///
    /// # Errors
    /// [`SendError::Length`] if declared content is missing: send it, or [`abort`](Self::abort).
    /// [`SendError::Invalid`] for trailers that must not be sent. [`SendError::Short`],
    /// [`SendError::NotNow`].
    pub fn finish<'f>(
        &mut self,
        now: Instant,
        trailers: impl IntoIterator<Item = impl Into<Line<'f>>>,
        out: &mut [u8],
    ) -> Result<usize, SendError> {
        let mut sending = self.outbound()?;
        let written = sending.finish(trailers, out)?;
        self.sent(now, sending, written as u64);
        Ok(written)
    }

    /// How much content fits into `out_room` octets of output, wrapped; none while it waits for a 100.
    /// Between requests: the room for the next, 0 where its head might not fit while output is still
    /// waiting.
    #[must_use]
    pub fn fits(&self, out_room: usize) -> usize {
        match self.tx {
            Tx::Sending(_) if self.flags & is::WAITING != 0 => 0,
            Tx::Sending(out) => out.fits(out_room),
            _ if self.owed == 0 => out_room.max(1),
            _ => out_room.saturating_sub(Self::HEAD_ROOM),
        }
    }

    /// Output space that [`fits`](Self::fits) keeps for a request head.
    pub const HEAD_ROOM: usize = 1024;

    fn outbound(&self) -> Result<Outbound, SendError> {
        match self.tx {
            _ if self.end().is_some() => Err(SendError::NotNow),
            Tx::Sending(out) if self.flags & is::WAITING == 0 => Ok(out),
            Tx::Quiet if self.flags & is::USED != 0 => Ok(Outbound::Done),
            _ => Err(SendError::NotNow),
        }
    }

    fn sent(&mut self, now: Instant, sending: Outbound, written: u64) {
        if let Tx::Sending(_) = self.tx {
            self.wrote(now, written);
            self.tx = if sending.is_done() { Tx::Quiet } else { Tx::Sending(sending) };
            self.settle();
        }
    }

    #[inline]
    fn wrote(&mut self, now: Instant, n: u64) {
        if n == 0 {
            return;
        }
        if self.owed == 0 {
            self.moved = self.moved.max(now);
        }
        self.owed = self.owed.saturating_add(n);
    }
}

/// How the content of a request goes out (S8.10).
#[inline(always)]
fn shape(method: &str, content: Content, old: bool) -> Result<Plan, Part> {
    Ok(match content {
        Content::None if matches!(method, "POST" | "PUT" | "PATCH") => Plan::Length(0),
        Content::None => Plan::None,
        _ if matches!(method, "CONNECT" | "TRACE") => {
            return Err(Part::Content);
        }
        Content::Length(n) => Plan::Length(n),
        // A server of 1.0 cannot read it, and a request cannot end with the connection.
        Content::Unknown if old => return Err(Part::Framing),
        Content::Unknown => Plan::Chunked,
    })
}
