//! Settings of a client's connections: each with its default, and what it risks.

use crate::head::scan::{Rules, What};
use crate::limits;
use crate::time::{Span, Tick};
use core::time::Duration;

mod bit {
    pub(super) const TO_PROXY: u16 = 1;
    pub(super) const TOLERANT: u16 = 1 << 1;
    pub(super) const RAW: u16 = 1 << 2;
    pub(super) const BARE_LF: u16 = 1 << 3;
    pub(super) const UNFOLD: u16 = 1 << 4;
    pub(super) const STRICT_HINTS: u16 = 1 << 5;
    pub(super) const PIPELINE: u16 = 1 << 6;
    pub(super) const HTTP10: u16 = 1 << 7;
    pub(super) const ONE_SHOT: u16 = 1 << 8;
    pub(super) const GATEWAY: u16 = 1 << 9;
    pub(super) const RETRY_FRESH: u16 = 1 << 10;
    pub(super) const DOUBT_CLOSE: u16 = 1 << 11;
}

/// Settings of a client's connection. One value serves all of them; each connection keeps a copy.
///
/// ```
/// use keepalive::client::Config;
/// use core::time::Duration;
/// let config = Config::direct().head_wait(Duration::from_secs(30));
/// assert!(config.receive_buffer() >= 32 * 1024);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    pub(crate) head_wait: Span,
    pub(crate) content_stall: Span,
    pub(crate) write_stall: Span,
    pub(crate) lifetime: Span,
    pub(crate) idle: Span,
    cap: Span,
    pub(crate) discard: u32,
    pub(crate) early_finish: u32,
    continue_wait: Tick,
    margin: Tick,
    discard_time: Tick,
    max_head: u16,
    max_trailers: u16,
    max_fields: u16,
    bits: u16,
}

impl Config {
    /// A client that talks straight to origin servers.
    #[must_use]
    pub const fn direct() -> Self {
        Self {
            head_wait: Span::secs(300),
            content_stall: Span::secs(300),
            write_stall: Span::secs(60),
            lifetime: Span::OFF,
            idle: Span::secs(4),
            cap: Span::secs(600),
            discard: limits::CLIENT_DISCARD,
            early_finish: limits::EARLY_FINISH,
            continue_wait: Tick::secs(1),
            margin: Tick::secs(1),
            discard_time: Tick::secs(2),
            max_head: limits::HEAD,
            max_trailers: limits::TRAILERS,
            max_fields: limits::RESPONSE_FIELDS,
            bits: 0,
        }
    }

    /// A client whose next hop is a forward proxy: it is never sent the `keep-alive` option, which a
    /// proxy might pass on (RFC 9112 §C.2.2).
    #[must_use]
    pub const fn to_proxy() -> Self {
        Self::direct().with(bit::TO_PROXY, true)
    }

    /// `C.head_wait`: how long to wait for a response head. Default 300 s.
    #[must_use]
    pub const fn head_wait(mut self, d: Duration) -> Self {
        self.head_wait = Span::of(d);
        self
    }

    /// `C.content_stall`: how long response content may pause. Default 300 s.
    #[must_use]
    pub const fn content_stall(mut self, d: Duration) -> Self {
        self.content_stall = Span::of(d);
        self
    }

    /// `C.write_stall`: how long output may wait without the peer taking any of it. Default 60 s.
    #[must_use]
    pub const fn write_stall(mut self, d: Duration) -> Self {
        self.write_stall = Span::of(d);
        self
    }

    /// `C.continue_wait`: how long to wait for a 100 before the content is sent all the same.
    /// Default 1 s; old servers never send it.
    #[must_use]
    pub const fn continue_wait(mut self, d: Duration) -> Self {
        self.continue_wait = Tick::of(d);
        self
    }

    /// `C.lifetime`: after it no new request is made. Default: for ever.
    #[must_use]
    pub const fn lifetime(mut self, d: Option<Duration>) -> Self {
        self.lifetime = Span::optional(d);
        self
    }

    /// How long a connection counts as usable when the server does not say. Default 4 s, since many
    /// servers close after 5 (S2.3).
    #[must_use]
    pub const fn idle(mut self, d: Duration) -> Self {
        self.idle = Span::of(d);
        self
    }

    /// At most so much of the server's `timeout` is believed. Default 600 s.
    #[must_use]
    pub const fn timeout_cap(mut self, d: Duration) -> Self {
        self.cap = Span::of(d);
        self
    }

    /// How much earlier than the server says the connection is given up: the margin that closes the
    /// keep-alive race (S2.3). Default 1 s; with an estimate of the round trip, max(1 s, 2 RTT).
    #[must_use]
    pub const fn margin(mut self, d: Duration) -> Self {
        self.margin = Tick::of(d);
        self
    }

    /// Response content that is read only to keep the connection, and for how long. Default 1 MiB
    /// and 2 s.
    #[must_use]
    pub const fn discard(mut self, octets: u32, time: Duration) -> Self {
        self.discard = octets;
        self.discard_time = Tick::of(time);
        self
    }

    /// Request content that is still sent after an early final response of 300 or more, to keep the
    /// connection. Default 64 KiB (S2.5).
    #[must_use]
    pub const fn early_finish(mut self, octets: u32) -> Self {
        self.early_finish = octets;
        self
    }

    /// Octets of a response head. Default 32 KiB, at most 64 KiB less one octet.
    #[must_use]
    pub const fn max_head(mut self, n: u16) -> Self {
        self.max_head = n;
        self
    }

    /// Octets of a trailer section. Default 16 KiB.
    #[must_use]
    pub const fn max_trailers(mut self, n: u16) -> Self {
        self.max_trailers = n;
        self
    }

    /// Field lines in a head or trailer section. Default 1000.
    #[must_use]
    pub const fn max_fields(mut self, n: u16) -> Self {
        self.max_fields = n;
        self
    }

    /// Makes requests of version 1.0. Default: 1.1.
    #[must_use]
    pub const fn http10(self, on: bool) -> Self {
        self.with(bit::HTTP10, on)
    }

    /// Says `close` in the first request: there will be no second (RFC 9112 §9.3).
    #[must_use]
    pub const fn one_shot(self, on: bool) -> Self {
        self.with(bit::ONE_SHOT, on)
    }

    /// Allows requests to be made before earlier ones are answered, within the limits of S7.4.
    /// Default: not, since a failure then concerns several of them.
    #[must_use]
    pub const fn pipeline(self, on: bool) -> Self {
        self.with(bit::PIPELINE, on)
    }

    /// Lets Transfer-Encoding win over Content-Length, and accepts it on 1.0; the connection is then
    /// not used again. Default: an error, since somebody between may have read it otherwise.
    #[must_use]
    pub const fn tolerate_coding_with_length(self, on: bool) -> Self {
        self.with(bit::TOLERANT, on)
    }

    /// Hands over content in transfer codings that are not implemented, as it is. Default: an error,
    /// since undecoded content is no content.
    #[must_use]
    pub const fn raw_codings(self, on: bool) -> Self {
        self.with(bit::RAW, on)
    }

    /// Accepts LF alone as the end of lines in response heads. Default: an error.
    #[must_use]
    pub const fn accept_bare_lf(self, on: bool) -> Self {
        self.with(bit::BARE_LF, on)
    }

    /// Accepts folded field lines in response heads: see [`Line::pieces`](crate::Line::pieces). Folded
    /// fields that decide anything stay an error. Default: an error all of them.
    #[must_use]
    pub const fn unfold(self, on: bool) -> Self {
        self.with(bit::UNFOLD, on)
    }

    /// Ignores `Keep-Alive` without the `keep-alive` option, as RFC 2068 has it. Default: on 1.1 its
    /// `timeout` is heeded all the same, since it can only shorten the wait (S2.2).
    #[must_use]
    pub const fn strict_keep_alive(self, on: bool) -> Self {
        self.with(bit::STRICT_HINTS, on)
    }

    /// The requests are other people's: a verdict of safe with octets transmitted counts as "if
    /// idempotent" (S5.3).
    #[must_use]
    pub const fn gateway(self, on: bool) -> Self {
        self.with(bit::GATEWAY, on)
    }

    /// Treats fresh connections as reused ones in retry verdicts: an idempotent request is tried
    /// again also where the first attempt on a new connection failed. Risks loops. Default: not.
    #[must_use]
    pub const fn retry_fresh(self, on: bool) -> Self {
        self.with(bit::RETRY_FRESH, on)
    }

    /// Does not trust that a server left alone what stood behind its `close` (S5). Default: trusts
    /// it, as RFC 9112 §9.6 demands of servers.
    #[must_use]
    pub const fn doubt_close(self, on: bool) -> Self {
        self.with(bit::DOUBT_CLOSE, on)
    }

    /// The smallest receive buffer that can never be full while the machine wants to read, unless the
    /// driver itself pauses it with a room of 0.
    #[must_use]
    pub const fn receive_buffer(&self) -> usize {
        let (head, trailers) = (self.max_head as usize, self.max_trailers as usize);
        if head > trailers { head } else { trailers }
    }

    const fn with(mut self, bit: u16, on: bool) -> Self {
        self.bits = if on { self.bits | bit } else { self.bits & !bit };
        self
    }

    const fn has(&self, bit: u16) -> bool {
        self.bits & bit != 0
    }

    pub(crate) const fn is_to_proxy(&self) -> bool {
        self.has(bit::TO_PROXY)
    }

    pub(crate) const fn is_tolerant(&self) -> bool {
        self.has(bit::TOLERANT)
    }

    pub(crate) const fn is_raw(&self) -> bool {
        self.has(bit::RAW)
    }

    pub(crate) const fn is_strict_about_hints(&self) -> bool {
        self.has(bit::STRICT_HINTS)
    }

    pub(crate) const fn may_pipeline(&self) -> bool {
        self.has(bit::PIPELINE)
    }

    pub(crate) const fn is_http10(&self) -> bool {
        self.has(bit::HTTP10)
    }

    pub(crate) const fn is_one_shot(&self) -> bool {
        self.has(bit::ONE_SHOT)
    }

    pub(crate) const fn is_gateway(&self) -> bool {
        self.has(bit::GATEWAY)
    }

    pub(crate) const fn retries_fresh(&self) -> bool {
        self.has(bit::RETRY_FRESH)
    }

    pub(crate) const fn doubts_close(&self) -> bool {
        self.has(bit::DOUBT_CLOSE)
    }

    /// Whether a connection that has waited so long for its first request counts as reused in retry
    /// verdicts: the server may have closed it in the meantime (S5).
    pub(crate) fn is_stale(&self, waited: Duration) -> bool {
        Span::of(waited) >= self.margin.span().max(Span::secs(1))
    }

    pub(crate) const fn continue_span(&self) -> Span {
        self.continue_wait.span()
    }

    pub(crate) const fn discard_span(&self) -> Span {
        self.discard_time.span()
    }

    pub(crate) const fn head_rules(&self) -> Rules {
        Rules {
            what: What::Response,
            max: self.max_head,
            target: 0,
            fields: self.max_fields,
            bare_lf: self.has(bit::BARE_LF),
            unfold: self.has(bit::UNFOLD),
        }
    }

    pub(crate) const fn trailer_rules(&self) -> Rules {
        Rules { max: self.max_trailers, bare_lf: false, ..self.head_rules() }
    }

    /// How long the connection is usable after a response with this `timeout`: S2.3. Zero means that
    /// only an immediate request is possible.
    #[inline(always)]
    pub(crate) fn usable(&self, timeout: Option<u32>) -> Span {
        match timeout {
            None => self.idle,
            Some(seconds) => {
                let hint = Span::secs(seconds).min(self.cap);
                Span::millis(hint.as_millis().saturating_sub(self.margin.span().as_millis()))
            }
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::direct()
    }
}
