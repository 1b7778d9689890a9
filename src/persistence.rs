//! Persist or close (S1.3, S2.1): facts first, then one decision, in one table, with a reason.
//!
//! Persistence is monotone: a connection that persists may come to close, and never back; the first
//! reason stays. [`CloseReason`] is every reason there is, with its rule.

use crate::bytes::trim;
use crate::grammar::{self, same};

/// Whether a connection goes on after the present exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Persistence {
    /// It does.
    Persist {
        /// Requests that may still follow; `None` if that is not limited.
        remaining: Option<u32>,
    },
    /// It does not.
    Close(CloseReason),
}

impl Persistence {
    /// Whether it goes on.
    #[must_use]
    pub const fn persists(self) -> bool {
        matches!(self, Self::Persist { .. })
    }
}

macro_rules! reasons {
    ($($name:ident $rule:literal $rfc:literal $text:literal;)*) => {
        /// Why a connection closes: one row of one table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum CloseReason { $(#[doc = concat!($text, " (`", $rule, "`, ", $rfc, ").")] $name,)* }

        impl CloseReason {
            /// Every reason, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            const fn row(self) -> (&'static str, &'static str, &'static str, &'static str) {
                match self { $(Self::$name => (stringify!($name), $rule, $rfc, $text),)* }
            }
        }
    };
}

reasons! {
    // S1.3, in its order
    Tunnel "S1.3-1" "RFC 9110 §7.8" "the connection leaves HTTP";
    Refused "S1.3-2" "RFC 9112 §2.2" "the machine refused the request";
    ConnectRefused "S1.3-3" "RFC 9931" "CONNECT was refused";
    PeerSaidClose "S1.3-4" "RFC 9112 §9.6" "the request said close";
    OptionsInvalid "S1.1" "RFC 9110 §7.6.1" "malformed or too many connection options";
    Http10 "S1.3-5" "RFC 9112 §9.3" "HTTP/1.0 without keep-alive";
    Http10AtProxy "S1.3-5" "RFC 9112 §C.2.2" "HTTP/1.0 at a proxy";
    BlindRelay "S1.3-5" "RFC 9112 §C.2.2" "HTTP/1.0 with keep-alive through what may be a blind relay";
    CodingUnsafe "S1.3-6" "RFC 9112 §6.1" "Transfer-Encoding with Content-Length, or on HTTP/1.0";
    Application "S1.3-7" "RFC 9112 §9.6" "the application asked for it";
    Draining "S1.3-8" "RFC 9112 §9.6" "draining";
    RequestLimit "S1.3-9" "RFC 9112 §9.5" "the limit of requests is reached";
    Lifetime "S1.3-10" "RFC 9112 §9.5" "the connection has lived long enough";
    Pressure "S1.3-11" "RFC 9112 §9.5" "idle connections are not kept";
    NotDelimited "S1.3-12" "RFC 9112 §9.3" "the content ends with the connection";
    ExpectUnmet "S1.3-13" "RFC 9110 §10.1.1" "the client may or may not send the content it announced";
    UnreadContent "S1.3-14" "RFC 9112 §9.3" "content was left unread";
    PeerClosed "S1.3-15" "RFC 9112 §9.6" "the peer closed its sending side";
    ResponseFailed "S1.3-16" "RFC 9112 §8" "the response could not be completed";
    // how a server's connection ends otherwise
    IdleTimeout "S3" "RFC 9112 §9.5" "idle for too long";
    KeepAliveUnused "S9.6" "RFC 9112 §C.2.2" "kept for an HTTP/1.0 client that made no second request";
    Unused "S3" "RFC 9112 §9.5" "never used";
    HeadTimeout "S3" "RFC 9112 §9.5" "no complete head in time";
    ContentTimeout "S3" "RFC 9112 §9.5" "content stalled";
    WriteTimeout "S6.4" "RFC 9112 §9.5" "the peer takes no output";
    LingerOverflow "S6.4" "RFC 9112 §9.6" "the peer goes on sending";
    HardStop "S6.6" "RFC 9112 §9.5" "draining took too long";
    Aborted "S6.4" "RFC 9112 §9.5" "the application gave up";
    TransportLost "S6.5" "RFC 9112 §9.5" "the transport was lost";
    // S2.1, the client's
    SentClose "S2.1" "RFC 9112 §9.6" "the request said close";
    ResponseClose "S2.1" "RFC 9112 §9.6" "the response said close";
    Http10Response "S2.5" "RFC 9112 §9.3" "HTTP/1.0 response without keep-alive";
    UntilClose "S2.5" "RFC 9112 §6.3" "the content ended with the connection";
    CodingDoubtful "S2.1" "RFC 9112 §6.1" "a response with Transfer-Encoding and Content-Length, or on HTTP/1.0";
    RequestTimeout "S2.1" "RFC 9110 §15.5.9" "the server timed the request out";
    KeepAliveZero "S2.3" "RFC 2068 §19.7.1" "the server keeps no idle connection";
    KeepAliveMax "S2.3" "RFC 2068 §19.7.1" "the server takes no more requests";
    ImmediateOnly "S2.3" "RFC 2068 §19.7.1" "only an immediate request was possible";
    Surplus "S2.5" "RFC 9112 §9.2" "bytes that no request asked for";
    Idle408 "S2.5" "RFC 9110 §15.5.9" "the server timed the idle connection out";
    RequestStopped "S2.5" "RFC 9112 §9.5" "the request was cut short after an early response";
    DiscardLimit "S2.1" "RFC 9112 §9.3" "too much response content was left unread";
    ResponseInvalid "S2.1" "RFC 9112 §6.3" "the response was invalid or incomplete";
    ResponseTimeout "S3" "RFC 9112 §9.5" "no response in time";
}

impl CloseReason {
    /// The name of the variant, for logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// The rule of this crate behind it.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        self.row().1
    }

    /// The section of the RFC behind the rule.
    #[must_use]
    pub const fn rfc(self) -> &'static str {
        self.row().2
    }

    /// A short description in English.
    #[must_use]
    pub const fn text(self) -> &'static str {
        self.row().3
    }
}

impl core::fmt::Display for CloseReason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} ({}, {})", self.text(), self.rule(), self.rfc())
    }
}

macro_rules! facts {
    ($(#[$doc:meta])* $Facts:ident: $($fact:ident $bit:literal)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
        pub(crate) struct $Facts(u32);
        #[allow(non_upper_case_globals)]
        impl $Facts {
            $(pub(crate) const $fact: Self = Self(1 << $bit);)*
            #[cfg(test)]
            const ALL: &'static [Self] = &[$(Self::$fact,)*];
            pub(crate) const fn none() -> Self { Self(0) }
            pub(crate) const fn has(self, fact: Self) -> bool { self.0 & fact.0 != 0 }
            pub(crate) fn set(&mut self, fact: Self, on: bool) { if on { self.0 |= fact.0 } }
            pub(crate) const fn only(self, facts: Self) -> Self { Self(self.0 & facts.0) }
            pub(crate) const fn without(self, facts: Self) -> Self { Self(self.0 & !facts.0) }
            /// Whether there is nothing that could decide anything: alone, keep-alive does not.
            #[inline(always)]
            pub(crate) fn decide_nothing(self) -> bool {
                self.without(Self::keep_alive) == Self::none()
            }
            pub(crate) const fn and(self, facts: Self) -> Self { Self(self.0 | facts.0) }
        }
    };
}

facts! {
    /// What decides whether a server's connection persists (S1.3).
    ServerFacts:
    tunnel 0 refused 1 connect_refused 2 close 3 http10 4 keep_alive 5 proxy 6 relayed 7 options_bad 8
    coding_unsafe 9 application 10 draining 11 last 12 lifetime 13 pressure 14 undelimited 15
    expect_unmet 16 unread 17 eof 18 failed 19
}

facts! {
    /// What decides whether a client's connection can be used again (S2.1).
    ClientFacts:
    tunnel 0 invalid 1 sent_close 2 close 3 http10 4 keep_alive 5 options_bad 6 coding_unsafe 7
    undelimited 8 timed_out 9 stopped 10 surplus 11 idle408 12 zero_timeout 13 zero_max 14 discard 15
    application 16 draining 17 limit 18 lifetime 19 pressure 20 eof 21
}

/// Facts that outlive an exchange.
pub(crate) const SERVER_STICKY: ServerFacts = ServerFacts::application
    .and(ServerFacts::draining)
    .and(ServerFacts::lifetime)
    .and(ServerFacts::pressure)
    .and(ServerFacts::failed);

macro_rules! table {
    ($(#[$doc:meta])* $name:ident, $rows:ident, $facts:ident: $Facts:ident;
     $($when:expr => $reason:ident;)*) => {
        $(#[$doc])*
        #[inline(always)]
        pub(crate) fn $name($facts: $Facts) -> Option<CloseReason> {
            #[inline(never)]
            fn row($facts: $Facts) -> Option<CloseReason> {
                $(if $when { return Some(CloseReason::$reason); })*
                None
            }
            if $facts.decide_nothing() {
                debug_assert!(row($facts).is_none());
                return None;
            }
            row($facts)
        }

        #[cfg(test)]
        const $rows: &[(CloseReason, fn($Facts) -> bool)] = &[$((CloseReason::$reason, |$facts| $when),)*];
    };
}

type S = ServerFacts;
type K = ClientFacts;

table! {
    /// S1.3: the first reason that holds; none, and the connection persists.
    server, SERVER, f: ServerFacts;
    f.has(S::tunnel) => Tunnel;
    f.has(S::refused) => Refused;
    f.has(S::connect_refused) => ConnectRefused;
    f.has(S::close) => PeerSaidClose;
    f.has(S::options_bad) => OptionsInvalid;
    f.has(S::http10) && !f.has(S::keep_alive) => Http10;
    f.has(S::http10) && f.has(S::proxy) => Http10AtProxy;
    f.has(S::http10) && f.has(S::relayed) => BlindRelay;
    f.has(S::coding_unsafe) => CodingUnsafe;
    f.has(S::application) => Application;
    f.has(S::draining) => Draining;
    f.has(S::last) => RequestLimit;
    f.has(S::lifetime) => Lifetime;
    f.has(S::pressure) => Pressure;
    f.has(S::undelimited) => NotDelimited;
    f.has(S::expect_unmet) => ExpectUnmet;
    f.has(S::unread) => UnreadContent;
    f.has(S::eof) => PeerClosed;
    f.has(S::failed) => ResponseFailed;
}

table! {
    /// S2.1 to S2.5: the first reason that holds; none, and the connection can be used again.
    client, CLIENT, f: ClientFacts;
    f.has(K::tunnel) => Tunnel;
    f.has(K::invalid) => ResponseInvalid;
    f.has(K::sent_close) => SentClose;
    f.has(K::close) => ResponseClose;
    f.has(K::options_bad) => OptionsInvalid;
    f.has(K::undelimited) => UntilClose;
    f.has(K::http10) && !f.has(K::keep_alive) => Http10Response;
    f.has(K::coding_unsafe) => CodingDoubtful;
    f.has(K::timed_out) => RequestTimeout;
    f.has(K::stopped) => RequestStopped;
    f.has(K::idle408) => Idle408;
    f.has(K::surplus) => Surplus;
    f.has(K::zero_timeout) => KeepAliveZero;
    f.has(K::zero_max) => KeepAliveMax;
    f.has(K::discard) => DiscardLimit;
    f.has(K::application) => Application;
    f.has(K::draining) => Draining;
    f.has(K::limit) => RequestLimit;
    f.has(K::lifetime) => Lifetime;
    f.has(K::pressure) => Pressure;
    f.has(K::eof) => PeerClosed;
}

/// The Keep-Alive field of a response: what the server says about idle connections (S2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Hints {
    /// Seconds that it keeps one.
    pub(crate) timeout: Option<u32>,
    /// Requests that it still takes.
    pub(crate) max: Option<u32>,
}

impl Hints {
    /// Reads one field value more. A parameter with junk in it is passed over; of duplicates the
    /// smaller counts.
    pub(crate) fn read(&mut self, value: &[u8]) {
        for member in grammar::quoted_members(value) {
            let mut parts = member.splitn(2, |&b| b == b'=').map(trim);
            let name = parts.next().unwrap_or_default();
            let Some(n) = parts.next().and_then(grammar::saturating) else { continue };
            let slot = if same(name, b"timeout") {
                &mut self.timeout
            } else if same(name, b"max") {
                &mut self.max
            } else {
                continue;
            };
            *slot = Some(slot.map_or(n, |old| old.min(n)));
        }
    }
}

#[cfg(test)]
mod tables {
    use super::*;

    /// S1.3 read row by row, without the table.
    fn server_slowly(f: S) -> Option<CloseReason> {
        use CloseReason as R;
        let http10 = f.has(S::http10);
        let ka = f.has(S::keep_alive);
        let rows = [
            (f.has(S::tunnel), R::Tunnel),
            (f.has(S::refused), R::Refused),
            (f.has(S::connect_refused), R::ConnectRefused),
            (f.has(S::close), R::PeerSaidClose),
            (f.has(S::options_bad), R::OptionsInvalid),
            (http10 && !ka, R::Http10),
            (http10 && ka && f.has(S::proxy), R::Http10AtProxy),
            (http10 && ka && !f.has(S::proxy) && f.has(S::relayed), R::BlindRelay),
            (f.has(S::coding_unsafe), R::CodingUnsafe),
            (f.has(S::application), R::Application),
            (f.has(S::draining), R::Draining),
            (f.has(S::last), R::RequestLimit),
            (f.has(S::lifetime), R::Lifetime),
            (f.has(S::pressure), R::Pressure),
            (f.has(S::undelimited), R::NotDelimited),
            (f.has(S::expect_unmet), R::ExpectUnmet),
            (f.has(S::unread), R::UnreadContent),
            (f.has(S::eof), R::PeerClosed),
            (f.has(S::failed), R::ResponseFailed),
        ];
        rows.into_iter().find(|r| r.0).map(|r| r.1)
    }

    #[test]
    fn server_rows_decide_every_combination_of_facts() {
        let mut used = vec![0u64; SERVER.len()];
        for bits in 0..1u32 << S::ALL.len() {
            let f = ServerFacts(bits);
            let row = SERVER.iter().position(|r| r.1(f));
            if let Some(row) = row {
                used[row] += 1;
            }
            assert_eq!(server(f), row.map(|r| SERVER[r].0));
            assert_eq!(server(f), server_slowly(f), "{bits:#b}");
        }
        assert!(used.iter().all(|&n| n > 0), "dead row: {used:?}");
    }

    /// S2.1 to S2.5 read in groups, from what leaves nothing to be asked to what is a mere wish. What the
    /// exchange itself says comes before what the connection says, and EOF, which ends it anyway, is last.
    fn client_slowly(f: K) -> Option<CloseReason> {
        use CloseReason as R;
        let first = |group: &[(K, R)]| group.iter().find(|r| f.has(r.0)).map(|r| r.1);
        let left_http = [(K::tunnel, R::Tunnel), (K::invalid, R::ResponseInvalid)];
        let said = [
            (K::sent_close, R::SentClose),
            (K::close, R::ResponseClose),
            (K::options_bad, R::OptionsInvalid),
        ];
        let no_end = [(K::undelimited, R::UntilClose)];
        let old = f.has(K::http10) && !f.has(K::keep_alive);
        let doubtful = [(K::coding_unsafe, R::CodingDoubtful)];
        let went_wrong = [
            (K::timed_out, R::RequestTimeout),
            (K::stopped, R::RequestStopped),
            (K::idle408, R::Idle408),
            (K::surplus, R::Surplus),
        ];
        let hints = [(K::zero_timeout, R::KeepAliveZero), (K::zero_max, R::KeepAliveMax)];
        let ours = [
            (K::discard, R::DiscardLimit),
            (K::application, R::Application),
            (K::draining, R::Draining),
            (K::limit, R::RequestLimit),
            (K::lifetime, R::Lifetime),
            (K::pressure, R::Pressure),
        ];
        let closed = [(K::eof, R::PeerClosed)];
        first(&left_http)
            .or_else(|| first(&said))
            .or_else(|| first(&no_end))
            .or_else(|| old.then_some(R::Http10Response))
            .or_else(|| first(&doubtful))
            .or_else(|| first(&went_wrong))
            .or_else(|| first(&hints))
            .or_else(|| first(&ours))
            .or_else(|| first(&closed))
    }

    #[test]
    fn client_rows_decide_every_combination_of_facts() {
        let mut used = vec![0u64; CLIENT.len()];
        for bits in 0..1u32 << K::ALL.len() {
            let f = ClientFacts(bits);
            let row = CLIENT.iter().position(|r| r.1(f));
            if let Some(row) = row {
                used[row] += 1;
            }
            assert_eq!(client(f), row.map(|r| CLIENT[r].0));
            assert_eq!(client(f), client_slowly(f), "{bits:#b}");
            // Persistence is exactly the absence of every reason; keep-alive alone changes nothing.
            let harmless = K::keep_alive.0 | if f.has(K::keep_alive) { K::http10.0 } else { 0 };
            assert_eq!(client(f).is_none(), bits & !harmless == 0, "{bits:#b}");
        }
        assert!(used.iter().all(|&n| n > 0), "dead row: {used:?}");
    }

    #[test]
    fn hints_pass_over_junk_and_take_the_smaller() {
        let read = |values: &[&str]| {
            let mut hints = Hints::default();
            values.iter().for_each(|v| hints.read(v.as_bytes()));
            (hints.timeout, hints.max)
        };
        assert_eq!(read(&["timeout=5, max=100"]), (Some(5), Some(100)));
        assert_eq!(read(&["TimeOut = 5", "timeout=3,x=\"y\",max=1"]), (Some(3), Some(1)));
        assert_eq!(read(&["timeout=abc, max=3"]), (None, Some(3)));
        assert_eq!(read(&["timeout=+1, timeout=1.5, timeout=, timeout, timeout=-1"]), (None, None));
        assert_eq!(read(&[r#"x="a, timeout=0, \", max=0", timeout=9"#]), (Some(9), None));
        assert_eq!(read(&["timeout=99999999999"]), (Some(u32::MAX), None));
    }

    #[test]
    fn one_more_fact_never_turns_close_into_persist_but_keep_alive() {
        for bits in 0..1u32 << S::ALL.len() {
            let f = ServerFacts(bits);
            for &fact in S::ALL.iter().filter(|&&x| x != S::keep_alive) {
                assert!(server(f).is_none() || server(f.and(fact)).is_some());
            }
        }
    }
}
