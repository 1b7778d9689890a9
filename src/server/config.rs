//! Settings of a server's connections: each with its default, and what it risks.

use crate::head::request::{self, Demands};
use crate::head::scan::Rules;
use crate::limits;
use crate::time::{Span, Tick};
use core::time::Duration;

/// When the server sends `Keep-Alive`, and the `keep-alive` option with it (S1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum KeepAliveField {
    /// Never the field; the option only to 1.0 clients, which would close without it.
    Never,
    /// To clients that sent the option themselves.
    #[default]
    OnOption,
    /// Always.
    Always,
}

mod bit {
    pub(super) const PROXY: u16 = 1;
    pub(super) const TOLERANT: u16 = 1 << 1;
    pub(super) const HOST: u16 = 1 << 2;
    pub(super) const EXPECTATION: u16 = 1 << 3;
    pub(super) const ECHO_VERSION: u16 = 1 << 4;
    pub(super) const CONNECT_WAITS: u16 = 1 << 5;
    pub(super) const ABORT_ON_EOF: u16 = 1 << 6;
    pub(super) const PROXY_CONNECTION: u16 = 1 << 7;
}

/// Settings of a server's connection. One value serves all of them; each connection keeps a copy.
///
/// ```
/// use keepalive::server::Config;
/// use core::time::Duration;
/// let config = Config::origin().idle(Duration::from_secs(20)).max_requests(100);
/// assert!(config.receive_buffer() >= 32 * 1024);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    pub(crate) head: Span,
    pub(crate) idle: Span,
    pub(crate) content_stall: Span,
    pub(crate) request_total: Span,
    pub(crate) write_stall: Span,
    pub(crate) lifetime: Span,
    pub(crate) min_rate: u32,
    pub(crate) max_requests: u32,
    pub(crate) discard: u32,
    rate_grace: Tick,
    grace: Tick,
    linger: Tick,
    linger_short: Tick,
    linger_total: Tick,
    min_idle: Tick,
    hard_stop: Tick,
    pub(crate) max_head: u16,
    max_trailers: u16,
    max_target: u16,
    max_fields: u16,
    bits: u16,
    pub(crate) keep_alive: KeepAliveField,
}

impl Config {
    /// An origin server, or the client-facing side of a gateway (reverse proxy).
    #[must_use]
    pub const fn origin() -> Self {
        Self {
            head: Span::secs(30),
            idle: Span::secs(75),
            content_stall: Span::secs(60),
            request_total: Span::OFF,
            write_stall: Span::secs(60),
            lifetime: Span::secs(3600),
            min_rate: 500,
            max_requests: limits::REQUESTS,
            discard: limits::DISCARD,
            rate_grace: Tick::secs(20),
            grace: Tick::secs(5),
            linger: Tick::secs(5),
            linger_short: Tick::secs(2),
            linger_total: Tick::secs(30),
            min_idle: Tick::secs(1),
            hard_stop: Tick::secs(30),
            max_head: limits::HEAD,
            max_trailers: limits::TRAILERS,
            max_target: limits::TARGET,
            max_fields: limits::REQUEST_FIELDS,
            bits: 0,
            keep_alive: KeepAliveField::OnOption,
        }
    }

    /// The client-facing side of a forward proxy: 1.0 clients are not kept (RFC 9112 §C.2.2).
    #[must_use]
    pub const fn proxy() -> Self {
        Self { bits: bit::PROXY, ..Self::origin() }
    }

    /// `S.head`: how long a head may take in all. Default 30 s. Longer gives slow peers more time,
    /// and Slowloris too.
    #[must_use]
    pub const fn head(mut self, d: Duration) -> Self {
        self.head = Span::of(d);
        self
    }

    /// `S.idle`: how long an idle connection is held. Default 75 s, of which [`grace`](Self::grace)
    /// less is announced. Zero: connections are not kept.
    #[must_use]
    pub const fn idle(mut self, d: Duration) -> Self {
        self.idle = Span::of(d);
        self
    }

    /// How much less than `S.idle` is announced in `Keep-Alive` (S3.2). Default 5 s. A shorter one
    /// risks that a request crosses the close on the wire.
    #[must_use]
    pub const fn grace(mut self, d: Duration) -> Self {
        self.grace = Tick::of(d);
        self
    }

    /// `S.content_stall`: how long content may pause. Default 60 s.
    #[must_use]
    pub const fn content_stall(mut self, d: Duration) -> Self {
        self.content_stall = Span::of(d);
        self
    }

    /// `S.min_rate`: content must arrive in `grace` and one second more for each `octets_per_second`
    /// octets. Default 20 s and 500 B/s; a rate of zero switches it off.
    #[must_use]
    pub const fn min_rate(mut self, grace: Duration, octets_per_second: u32) -> Self {
        self.rate_grace = Tick::of(grace);
        self.min_rate = octets_per_second;
        self
    }

    /// `S.request_total`: how long a whole request may take, without the time in which its content waits
    /// for the application. Default: for ever.
    #[must_use]
    pub const fn request_total(mut self, d: Option<Duration>) -> Self {
        self.request_total = Span::optional(d);
        self
    }

    /// `S.write_stall`: how long output may wait without the peer taking any of it. Default 60 s.
    #[must_use]
    pub const fn write_stall(mut self, d: Duration) -> Self {
        self.write_stall = Span::of(d);
        self
    }

    /// `S.lifetime`: after it the next response closes. Default 1 h. Add a random part of your own
    /// for each connection, so that they do not all close at once (S3.2).
    #[must_use]
    pub const fn lifetime(mut self, d: Option<Duration>) -> Self {
        self.lifetime = Span::optional(d);
        self
    }

    /// `S.linger`: after the half-close, how long without a byte, and how long in all. Default 5 s
    /// and 30 s. Shorter ones risk that a reset destroys the last response on its way.
    #[must_use]
    pub const fn linger(mut self, quiet: Duration, total: Duration) -> Self {
        self.linger = Tick::of(quiet);
        self.linger_total = Tick::of(total);
        self
    }

    /// How long a connection is held whose last response promised persistence, when it is to be
    /// retired all the same (S3.2). Default 1 s.
    #[must_use]
    pub const fn min_idle(mut self, d: Duration) -> Self {
        self.min_idle = Tick::of(d);
        self
    }

    /// How long draining may take before the connection is aborted (S6.6). Default 30 s.
    #[must_use]
    pub const fn hard_stop(mut self, d: Duration) -> Self {
        self.hard_stop = Tick::of(d);
        self
    }

    /// Requests on one connection; 0 for no limit. Default 1000, announced as `max`, and exact (S4).
    #[must_use]
    pub const fn max_requests(mut self, n: u32) -> Self {
        self.max_requests = n;
        self
    }

    /// Octets of a head; above it, 431. Default 32 KiB, at most 64 KiB less one octet.
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

    /// Octets of a request target; above it, 414. Default 8 KiB.
    #[must_use]
    pub const fn max_target(mut self, n: u16) -> Self {
        self.max_target = n;
        self
    }

    /// Field lines in a head or trailer section; above it, 431. Default 100.
    #[must_use]
    pub const fn max_fields(mut self, n: u16) -> Self {
        self.max_fields = n;
        self
    }

    /// Request content that is read only to keep the connection. Default 256 KiB; more costs
    /// bandwidth, less costs connections.
    #[must_use]
    pub const fn discard(mut self, octets: u32) -> Self {
        self.discard = octets;
        self
    }

    /// When `Keep-Alive` is sent. Default: to clients that sent the option.
    #[must_use]
    pub const fn keep_alive_field(mut self, when: KeepAliveField) -> Self {
        self.keep_alive = when;
        self
    }

    /// Lets Transfer-Encoding win over Content-Length, and accepts it on 1.0; the connection then
    /// closes. Default: refused with 400, since a front end that reads it otherwise lets requests be
    /// smuggled past it.
    #[must_use]
    pub const fn tolerate_coding_with_length(self, on: bool) -> Self {
        self.with(bit::TOLERANT, on)
    }

    /// Refuses an empty Host. Default: accepted as "no authority".
    #[must_use]
    pub const fn refuse_empty_host(self, on: bool) -> Self {
        self.with(bit::HOST, on)
    }

    /// Answers 417 to expectations other than 100-continue. Default: left to the application.
    #[must_use]
    pub const fn refuse_other_expectations(self, on: bool) -> Self {
        self.with(bit::EXPECTATION, on)
    }

    /// Says HTTP/1.0 in the status line to a 1.0 client. Default: HTTP/1.1 (RFC 9110 §6.2).
    #[must_use]
    pub const fn echo_version(self, on: bool) -> Self {
        self.with(bit::ECHO_VERSION, on)
    }

    /// Vouches that clients wait for the 2xx before they send anything behind CONNECT, so that a
    /// refused one need not close. Default: it closes (RFC 9931).
    #[must_use]
    pub const fn connect_waits(self, on: bool) -> Self {
        self.with(bit::CONNECT_WAITS, on)
    }

    /// Gives up on a response as soon as the client closes its sending side. Default: it is
    /// finished, since half-closed clients are honest ones (S6.5).
    #[must_use]
    pub const fn abort_on_eof(self, on: bool) -> Self {
        self.with(bit::ABORT_ON_EOF, on)
    }

    /// At a forward proxy, heeds `Proxy-Connection: keep-alive` of 1.0 clients in absolute-form requests
    /// without Via (S9.4). Default: it has no effect, since a blind relay in front passes it on, and
    /// then both ends wait for ever.
    #[must_use]
    pub const fn heed_proxy_connection(self, on: bool) -> Self {
        self.with(bit::PROXY_CONNECTION, on)
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

    pub(crate) const fn is_proxy(&self) -> bool {
        self.has(bit::PROXY)
    }

    pub(crate) const fn is_tolerant(&self) -> bool {
        self.has(bit::TOLERANT)
    }

    pub(crate) const fn echoes_version(&self) -> bool {
        self.has(bit::ECHO_VERSION)
    }

    pub(crate) const fn connect_may_persist(&self) -> bool {
        self.has(bit::CONNECT_WAITS)
    }

    pub(crate) const fn aborts_on_eof(&self) -> bool {
        self.has(bit::ABORT_ON_EOF)
    }

    pub(crate) const fn heeds_proxy_connection(&self) -> bool {
        self.has(bit::PROXY_CONNECTION)
    }

    pub(crate) const fn demands(&self) -> Demands {
        Demands {
            tolerant: self.is_tolerant(),
            host: self.has(bit::HOST),
            expectation: self.has(bit::EXPECTATION),
        }
    }

    pub(crate) const fn head_rules(&self) -> Rules {
        request::rules(self.max_head, self.max_target, self.max_fields)
    }

    pub(crate) const fn trailer_rules(&self) -> Rules {
        Rules { max: self.max_trailers, ..self.head_rules() }
    }

    pub(crate) const fn rate_grace(&self) -> Span {
        self.rate_grace.span()
    }

    pub(crate) const fn linger_quiet(&self) -> Span {
        self.linger.span()
    }

    pub(crate) const fn linger_short(&self) -> Span {
        self.linger_short.span()
    }

    pub(crate) const fn linger_total(&self) -> Span {
        self.linger_total.span()
    }

    pub(crate) const fn min_idle_span(&self) -> Span {
        self.min_idle.span()
    }

    pub(crate) const fn hard_stop_span(&self) -> Span {
        self.hard_stop.span()
    }

    /// The `timeout` to announce, in seconds; `None` below one (S3.2).
    pub(crate) const fn announced(&self) -> Option<u32> {
        if self.idle.is_off() {
            return None;
        }
        match self.idle.as_millis().saturating_sub(self.grace.span().as_millis()) / 1000 {
            0 => None,
            seconds => Some(seconds),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::origin()
    }
}
