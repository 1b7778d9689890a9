//! The outbound half: the application's responses, and the machine's own.

use super::{Connection, Rx, Tx, is};
use crate::content::{Content, Frame, Moved, Outbound, Plan, Started};
use crate::encode::{self, Declared, Told, Writer};
use crate::error::{Part, SendError};
use crate::head::fields::{Line, NO_FIELDS};
use crate::persistence::{self, CloseReason, ServerFacts};
use crate::prepared::Field;
use crate::server::KeepAliveField;
use crate::status::{self, Status};
use crate::time::Instant;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What a status demands of the content that may come with it.
struct Shape {
    plan: Plan,
    declared: Declared,
}

impl Connection {
    /// "I want the content": it is delivered from now on, and the 100 becomes due for which the
    /// client may be waiting (S8.8). Without a request whose content is held it has no effect.
    pub fn read_content(&mut self, now: Instant) {
        if let Rx::Held(body) = self.rx {
            self.resume(now);
            self.enter(Rx::Reading(body));
            self.rate = self.rate.max(now);
        }
    }

    /// "No more of it": the rest of the content is read and thrown away if it is known and small
    /// enough; else the connection closes after the response (S1.3-14).
    pub fn skip_content(&mut self, now: Instant) {
        if let Rx::Held(body) | Rx::Reading(body) = self.rx
            && body.remaining() != Some(0)
        {
            self.resume(now);
            self.touch(now);
            self.rate = self.rate.max(now);
            let unmet = self.flags & is::EXPECT != 0;
            self.facts.set(ServerFacts::expect_unmet, unmet);
            let rx = match body.remaining() {
                Some(left) if !unmet && !self.beyond_budget(&body) => Rx::Discard(left),
                _ => {
                    self.facts.set(ServerFacts::unread, self.beyond_budget(&body));
                    Rx::Sink { octets: 0 }
                }
            };
            self.enter(rx);
            if self.tx != Tx::Owed && matches!(self.rx, Rx::Sink { .. }) {
                self.decide(CloseReason::UnreadContent);
            }
        }
    }

    /// Sends an interim response (RFC 9110 §15.2): any 1xx but 101. 100 is normally sent by the
    /// machine; a proxy passes it on here.
    ///
    /// Returns the octets written: none to a 1.0 client, which must not be sent one (S1.4).
    ///
    /// # Errors
    /// [`SendError::NotNow`] unless a response is owed and has not begun; [`SendError::Invalid`],
    /// [`SendError::Short`].
    pub fn inform<'f>(
        &mut self,
        now: Instant,
        status: u16,
        fields: impl IntoIterator<Item = impl Into<Field<'f>>>,
        out: &mut [u8],
    ) -> Result<usize, SendError> {
        if self.tx != Tx::Owed {
            return Err(SendError::NotNow);
        }
        if !(100..200).contains(&status) || status == 101 {
            return Err(SendError::Invalid(Part::Status));
        }
        if self.facts.has(ServerFacts::http10) {
            return Ok(0);
        }
        let mut w = Writer::new(out);
        status::line(&mut w, 1, status.into())?;
        let told = encode::fields(&mut w, fields, Declared { length: None, chunked: false })?;
        encode::connection(&mut w, &[(!told.upgrade.is_empty(), b"upgrade")]);
        w.put(b"\r\n");
        let written = w.finish()?;
        if status == 100 {
            self.expect_no_more(now);
            self.flags &= !is::UNTOLD;
        }
        self.wrote(now, written as u64);
        Ok(written)
    }

    /// Sends a whole response, all or nothing: the content is sent with its length.
    ///
    /// # Errors
    /// As [`respond`](Self::respond).
    pub fn reply<'f, 's>(
        &mut self,
        now: Instant,
        status: impl Into<Status<'s>>,
        fields: impl IntoIterator<Item = impl Into<Field<'f>>>,
        content: &[u8],
        out: &mut [u8],
    ) -> Result<usize, SendError> {
        let length = Content::Length(content.len() as u64);
        Ok(self.begin(now, status.into(), fields, length, Some(content), out)?.written)
    }

    /// Sends a final response head, and declares the content that follows by [`send`](Self::send) or
    /// [`frame`](Self::frame). The verdict on persistence falls here.
    ///
    /// The machine adds what belongs to it: `Connection`, `Keep-Alive`, `Content-Length`,
    /// `Transfer-Encoding` (S1.4). `close` in a `Connection` line is heeded. A 101 needs an
    /// `Upgrade` line with a protocol that was offered, and a 426 one of any.
    ///
    /// # Errors
    /// [`SendError::NotNow`] unless a response is owed; for 101 also while the request is not whole.
    /// [`SendError::Invalid`] for what must not be sent. [`SendError::Short`] with what is needed.
    pub fn respond<'f, 's>(
        &mut self,
        now: Instant,
        status: impl Into<Status<'s>>,
        fields: impl IntoIterator<Item = impl Into<Field<'f>>>,
        content: Content,
        out: &mut [u8],
    ) -> Result<Started, SendError> {
        self.begin(now, status.into(), fields, content, None, out)
    }

    /// A response head, and the whole content behind it if it is given.
    #[inline]
    fn begin<'f>(
        &mut self,
        now: Instant,
        status: Status<'_>,
        fields: impl IntoIterator<Item = impl Into<Field<'f>>>,
        content: Content,
        whole: Option<&[u8]>,
        out: &mut [u8],
    ) -> Result<Started, SendError> {
        if self.tx != Tx::Owed {
            return Err(SendError::NotNow);
        }
        let Shape { plan, declared } = self.shape(status.code, content)?;
        let mut facts = self.facts_now();
        facts.set(ServerFacts::lifetime, self.is_old(now));
        let tunnel = plan == Plan::Tunnel;
        facts.set(ServerFacts::tunnel, tunnel);
        let connect = self.flags & is::CONNECT != 0;
        facts.set(
            ServerFacts::connect_refused,
            connect && !tunnel && !self.config.connect_may_persist(),
        );
        facts.set(ServerFacts::undelimited, plan == Plan::UntilClose);
        // A proxy asks for content without a 100 of its own: then it may never come.
        let unmet = self.flags & is::EXPECT != 0 && !self.is_100_due();
        facts.set(ServerFacts::expect_unmet, unmet);
        let unread = match self.rx {
            Rx::Held(body) => Some(body),
            Rx::Reading(body) if unmet => Some(body),
            _ => None,
        };
        facts.set(ServerFacts::unread, unread.is_some_and(|body| self.beyond_budget(&body)));

        let mut w = Writer::new(out);
        // RFC 9110 §7.8: before a 101 also where the content did not wait for it.
        if self.is_100_due() || status.code == 101 && self.flags & is::UNTOLD != 0 {
            w.put(CONTINUE);
        }
        let http10 = facts.has(ServerFacts::http10);
        let minor = if http10 && self.config.echoes_version() { 0 } else { 1 };
        status::line(&mut w, minor, status)?;
        let told = encode::fields(&mut w, fields, declared)?;
        let upgrade_fits = match status.code {
            101 => self.offered.allow(told.upgrade),
            426 => !told.upgrade.is_empty(),
            _ => !tunnel || told.upgrade.is_empty(),
        };
        if !upgrade_fits {
            return Err(SendError::Invalid(Part::Upgrade));
        }
        facts.set(ServerFacts::application, told.close);
        let verdict = self.verdict.or_else(|| persistence::server(facts));
        self.owned_fields(&mut w, status.code, facts, verdict, &told);
        encode::framing(&mut w, declared);
        w.put(b"\r\n");
        let sent = matches!(plan, Plan::Length(_)).then_some(whole).flatten();
        if let Some(content) = sent {
            w.put(content);
        }
        let written = w.finish()?;

        // From here on nothing fails.
        self.facts = facts;
        self.verdict = verdict;
        self.expect_no_more(now);
        self.flags &= !is::UNTOLD;
        self.wrote(now, written as u64);
        let sending = Outbound::of(plan);
        self.tx = match (tunnel, sending.is_done()) {
            (true, _) => Tx::Tunnel,
            (false, done) if done || sent.is_some() => Tx::Done,
            (false, _) => Tx::Sending(sending),
        };
        if let Some(body) = unread {
            let rx = match (body.remaining(), verdict) {
                (Some(left), None) => {
                    self.resume(now);
                    self.touch(now);
                    self.rate = self.rate.max(now);
                    Rx::Discard(left)
                }
                _ => Rx::Sink { octets: 0 },
            };
            self.enter(rx);
        }
        if tunnel && matches!(self.rx, Rx::Whole) {
            self.enter(Rx::Tunnel);
        }
        self.turn(now);
        Ok(Started { written, plan })
    }

    /// Which content may come with a status, and how the head shows it.
    #[inline]
    fn shape(&self, status: u16, content: Content) -> Result<Shape, SendError> {
        let none = Declared { length: None, chunked: false };
        let bare = |plan| Ok(Shape { plan, declared: none });
        let refused = Err(SendError::Invalid(Part::Content));
        let empty = matches!(content, Content::None | Content::Length(0));
        let length = match content {
            Content::Length(n) => Some(n),
            Content::None | Content::Unknown => None,
        };
        let head = self.flags & is::HEAD != 0;
        match status {
            101 => {
                let whole = match self.rx {
                    Rx::Whole => true,
                    Rx::Reading(body) => body.remaining() == Some(0),
                    _ => false,
                };
                if !whole {
                    return Err(SendError::NotNow);
                }
                if empty { bare(Plan::Tunnel) } else { refused }
            }
            0..200 => Err(SendError::Invalid(Part::Status)),
            200..300 if self.flags & is::CONNECT != 0 => {
                if empty {
                    bare(Plan::Tunnel)
                } else {
                    refused
                }
            }
            // S8.10: 304 tells a length that a GET would have had; 204 tells none.
            204 if empty => bare(Plan::None),
            304 if content != Content::Unknown => {
                let declared = Declared { length: length.filter(|&n| n > 0), chunked: false };
                Ok(Shape { plan: Plan::None, declared })
            }
            // S8.7: a 205 says so.
            205 if empty => Ok(Shape {
                plan: Plan::None,
                declared: Declared { length: Some(0), chunked: false },
            }),
            204 | 205 | 304 => refused,
            // A length that is declared stays, also where nothing follows.
            _ if head => {
                Ok(Shape { plan: Plan::None, declared: Declared { length, chunked: false } })
            }
            _ => {
                let plan = match content {
                    Content::None | Content::Length(0) => Plan::Length(0),
                    Content::Length(n) => Plan::Length(n),
                    Content::Unknown if self.facts.has(ServerFacts::http10) => Plan::UntilClose,
                    Content::Unknown => Plan::Chunked,
                };
                let declared = Declared::of(plan);
                Ok(Shape { plan: if empty { Plan::None } else { plan }, declared })
            }
        }
    }

    /// The fields that belong to the machine: S1.4, row by row.
    #[inline]
    fn owned_fields(
        &self,
        w: &mut Writer<'_>,
        status: u16,
        facts: ServerFacts,
        verdict: Option<CloseReason>,
        told: &Told,
    ) {
        if verdict == Some(CloseReason::Tunnel) {
            encode::connection(w, &[(status == 101, b"upgrade")]);
            return;
        }
        let http10 = facts.has(ServerFacts::http10);
        let asked = facts.has(ServerFacts::keep_alive);
        let says = verdict.is_none()
            && match self.config.keep_alive {
                KeepAliveField::Never => http10,
                KeepAliveField::OnOption => http10 || asked,
                KeepAliveField::Always => true,
            };
        let upgrade = status == 426 || !told.upgrade.is_empty();
        if verdict.is_none() && !says && !upgrade {
            // As with nearly all: HTTP/1.1 needs no word.
            return;
        }
        encode::connection(
            w,
            &[(verdict.is_some(), b"close"), (says, b"keep-alive"), (upgrade, b"upgrade")],
        );
        if says && self.config.keep_alive != KeepAliveField::Never {
            encode::keep_alive(w, self.config.announced(), self.remaining());
        }
    }

    /// Sends content: copies as much of it as fits into `out`, wrapped as the plan says.
    ///
    /// # Errors
    /// [`SendError::NotNow`] before the response has begun. [`SendError::Length`] if it is more than
    /// was declared.
    pub fn send(
        &mut self,
        now: Instant,
        content: &[u8],
        out: &mut [u8],
    ) -> Result<Moved, SendError> {
        let mut sending = self.outbound()?;
        let moved = sending.send(content, out)?;
        self.wrote(now, moved.written as u64);
        self.sent(now, sending);
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
        self.wrote(now, frame.total());
        self.sent(now, sending);
        Ok(frame)
    }

    /// Ends content of unknown length, with trailers if it is chunked. Has no effect on content that
    /// has ended by itself.
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
        self.wrote(now, written as u64);
        self.sent(now, sending);
        Ok(written)
    }

    /// Writes what the machine itself has to say: a 100, or its own response to what it refused.
    /// Call it whenever [`Wants::emit`](crate::Wants::emit) is true; it writes nothing otherwise.
    ///
    /// # Errors
    /// [`SendError::Short`]; [`EMIT_ROOM`](Self::EMIT_ROOM) is always enough.
    pub fn emit(&mut self, now: Instant, out: &mut [u8]) -> Result<usize, SendError> {
        self.emit_with(now, NO_FIELDS, out)
    }

    /// As [`emit`](Self::emit), with fields of the embedder's on a final response: `Date`, for
    /// instance, which a server with a clock has to send (RFC 9110 §6.6.1).
    ///
    /// # Errors
    /// [`SendError::Short`]; [`SendError::Invalid`] for fields that must not be sent.
    pub fn emit_with<'f>(
        &mut self,
        now: Instant,
        fields: impl IntoIterator<Item = impl Into<Field<'f>>>,
        out: &mut [u8],
    ) -> Result<usize, SendError> {
        let mut w = Writer::new(out);
        let own = match self.tx {
            Tx::Own(status) => {
                let declared = Declared { length: Some(0), chunked: false };
                status::line(&mut w, 1, status.into())?;
                let told = encode::fields(&mut w, fields, declared)?;
                let upgrade = !told.upgrade.is_empty();
                encode::connection(&mut w, &[(true, b"close"), (upgrade, b"upgrade")]);
                encode::framing(&mut w, declared);
                w.put(b"\r\n");
                true
            }
            _ if self.is_100_due() => {
                w.put(CONTINUE);
                false
            }
            _ => return Ok(0),
        };
        let written = w.finish()?;
        if own {
            self.tx = Tx::Done;
        } else {
            self.expect_no_more(now);
            self.flags &= !is::UNTOLD;
        }
        self.wrote(now, written as u64);
        Ok(written)
    }

    /// What may still be sent of the present response. Of one that is over nothing, but saying so
    /// again does no harm.
    fn outbound(&self) -> Result<Outbound, SendError> {
        match self.tx {
            Tx::Sending(sending) => Ok(sending),
            Tx::Quiet | Tx::Done if self.flags & is::USED == 0 => Err(SendError::NotNow),
            Tx::Quiet | Tx::Done if self.aborted.is_some() => Err(SendError::NotNow),
            // The machine has answered in the application's place.
            Tx::Done if self.facts.has(ServerFacts::refused) => Err(SendError::NotNow),
            Tx::Quiet | Tx::Done if self.flags & is::HEAD != 0 => Ok(Outbound::Dropped),
            Tx::Quiet | Tx::Done => Ok(Outbound::Done),
            Tx::Owed | Tx::Own(_) | Tx::Tunnel => Err(SendError::NotNow),
        }
    }

    fn sent(&mut self, now: Instant, sending: Outbound) {
        if let Tx::Sending(_) = self.tx {
            if sending.is_done() {
                self.tx = Tx::Done;
                self.turn(now);
            } else {
                self.tx = Tx::Sending(sending);
            }
        }
    }

    fn wrote(&mut self, now: Instant, n: u64) {
        if self.owed == 0 {
            self.moved = self.moved.max(now);
        }
        self.owed = self.owed.saturating_add(n);
    }
}
