//! What can go wrong, in two worlds that do not mix.
//!
//! A [`Failure`] is the peer's doing, the network's, or a time-out: it comes as an event, sticks, and
//! says who is to blame, where, by which rule, and which status a server answers with.
//! A [`SendError`] is the caller's own mistake: nothing was written and nothing changed.

use crate::client::Reuse;
use core::fmt;

/// Who is to blame for a [`Failure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The peer broke a rule, fell silent, or closed in the middle of a message.
    Peer,
    /// The transport below was lost.
    Transport,
}

impl Blame {
    /// In lower case, for logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Transport => "transport",
        }
    }
}

macro_rules! kinds {
    ($($name:ident $blame:ident $status:literal $rule:literal $rfc:literal $text:literal;)*) => {
        /// What kind of failure it is: one row of one table, with blame, status, rule and text.
        ///
        /// RFC 9110 §15, RFC 9112 §2.2 and §6.3 say what a recipient does about it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Kind { $(#[doc = concat!($text, " (`", $rule, "`, ", $rfc, ").")] $name,)* }

        impl Kind {
            /// Every kind, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            const fn row(self) -> (&'static str, Blame, u16, &'static str, &'static str, &'static str) {
                match self {
                    $(Self::$name => {
                        (stringify!($name), Blame::$blame, $status, $rule, $rfc, $text)
                    })*
                }
            }
        }
    };
}

kinds! {
    // lines
    BareCr Peer 400 "S8.4" "RFC 9112 §2.2" "CR that is not followed by LF";
    BareLf Peer 400 "S8.4" "RFC 9112 §2.2" "LF that does not follow CR";
    ControlByte Peer 400 "S8.4" "RFC 9110 §5.5" "control character in a head, trailer or chunk line";
    HeadTooLong Peer 431 "S8.4" "RFC 9110 §5.4" "head longer than the limit";
    TooManyFields Peer 431 "S8.4" "RFC 9110 §5.4" "more field lines than the limit";
    // start lines
    EmptyLines Peer 400 "S8.4" "RFC 9112 §2.2" "too many empty lines before the start line";
    RequestLine Peer 400 "S8.4" "RFC 9112 §3" "request line that is not three parts with single spaces";
    MethodInvalid Peer 400 "S8.4" "RFC 9112 §3.1" "method that is not a token";
    MethodTooLong Peer 501 "S8.4" "RFC 9112 §3" "method longer than the limit";
    TargetTooLong Peer 414 "S8.4" "RFC 9112 §3" "request target longer than the limit";
    TargetInvalid Peer 400 "S8.11" "RFC 9112 §3.2" "request target in no form that this method may have";
    VersionInvalid Peer 400 "S1.2" "RFC 9112 §2.3" "HTTP version missing or malformed";
    VersionUnsupported Peer 505 "S1.2" "RFC 9110 §15.6.6" "major HTTP version other than 1";
    Http2Preface Peer 505 "S1.2" "RFC 9113 §3.4" "preface of HTTP/2";
    StatusLine Peer 502 "S8.4" "RFC 9112 §4" "malformed status line";
    StatusCode Peer 502 "S8.4" "RFC 9110 §15" "status code that is not three digits from 100 on";
    // field lines
    ObsFold Peer 400 "S8.4" "RFC 9112 §5.2" "folded field line";
    LeadingSpace Peer 400 "S8.4" "RFC 9112 §2.2" "whitespace before the first field line";
    SpaceBeforeColon Peer 400 "S8.4" "RFC 9112 §5.1" "whitespace between field name and colon";
    FieldName Peer 400 "S8.4" "RFC 9110 §5.1" "field name that is not a token, or no colon";
    HostMissing Peer 400 "S8.4" "RFC 9112 §3.2" "no Host field";
    HostRepeated Peer 400 "S8.4" "RFC 9112 §3.2" "more than one Host field";
    HostInvalid Peer 400 "S8.11" "RFC 9112 §3.2" "invalid Host field";
    Expectation Peer 417 "S8.8" "RFC 9110 §10.1.1" "expectation other than 100-continue";
    // message framing
    ConnectContent Peer 400 "S8-2" "RFC 9110 §9.3.6" "CONNECT with content";
    CodingWithLength Peer 400 "S8-3" "RFC 9112 §6.3" "Transfer-Encoding together with Content-Length";
    CodingOnHttp10 Peer 400 "S8-3b" "RFC 9112 §6.1" "Transfer-Encoding on HTTP/1.0";
    CodingInvalid Peer 400 "S8-5" "RFC 9112 §6.3" "Transfer-Encoding that does not end in one chunked";
    CodingUnknown Peer 501 "S8-5" "RFC 9112 §6.1" "transfer coding that is not implemented";
    LengthInvalid Peer 400 "S8-6" "RFC 9112 §6.3" "invalid Content-Length";
    LengthRepeated Peer 400 "S8.1" "RFC 9110 §8.6" "Content-Length given more than once";
    // chunked
    ChunkSize Peer 400 "S8.3" "RFC 9112 §7.1" "invalid chunk size";
    ChunkTooLarge Peer 400 "S8.3" "RFC 9112 §7.1" "chunk size beyond the limit";
    ChunkExtension Peer 400 "S8.3" "RFC 9112 §7.1.1" "malformed end of a chunk size";
    ChunkLineTooLong Peer 400 "S8.3" "RFC 9112 §7.1.1" "chunk line longer than the limit";
    ChunkOverhead Peer 413 "S8.3" "RFC 9112 §7.1.1" "chunked coding with too little content in it";
    ChunkEnd Peer 400 "S8.3" "RFC 9112 §7.1" "chunk data not followed by CRLF";
    TrailersTooLong Peer 431 "S8.5" "RFC 9112 §7.1.2" "trailer section longer than the limit";
    // the end came too early
    IncompleteHead Peer 0 "S6.5" "RFC 9112 §8" "connection closed in the middle of a head";
    IncompleteContent Peer 0 "S6.5" "RFC 9112 §8" "connection closed in the middle of the content";
    IncompleteTrailers Peer 0 "S6.5" "RFC 9112 §8" "connection closed in the middle of the trailer section";
    NoResponse Peer 0 "S5" "RFC 9112 §9.5" "connection closed before the response";
    // silence
    HeadTimeout Peer 408 "S3.1" "RFC 9110 §15.5.9" "head not complete in time";
    ContentTimeout Peer 408 "S3" "RFC 9110 §15.5.9" "content stalled";
    RateTimeout Peer 408 "S3" "RFC 9110 §15.5.9" "content too slow";
    RequestTimeout Peer 408 "S3" "RFC 9110 §15.5.9" "request not complete in time";
    ResponseTimeout Peer 504 "S3" "RFC 9110 §15.6.5" "no response in time";
    WriteTimeout Peer 0 "S6.4" "RFC 9112 §9.5" "peer takes no output";
    // responses
    TooManyInterim Peer 502 "S8.6" "RFC 9110 §15.2" "too many interim responses";
    SwitchRefused Peer 502 "S2.5" "RFC 9110 §7.8" "101 without a matching offer";
    Unsolicited Peer 502 "S2.5" "RFC 9112 §9.2" "response before the request was sent";
    // the transport
    Reset Transport 0 "S5" "RFC 9112 §9.5" "connection reset";
    WriteFailed Transport 0 "S5" "RFC 9112 §9.5" "write failed";
    TlsFailed Transport 0 "S5" "RFC 9112 §9.8" "TLS failed";
}

impl Kind {
    /// The name of the variant, for logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// Who is to blame.
    #[must_use]
    pub const fn blame(self) -> Blame {
        self.row().1
    }

    /// The status that a server answers with, if an answer makes sense.
    #[must_use]
    pub const fn status(self) -> Option<u16> {
        match self.row().2 {
            0 => None,
            status => Some(status),
        }
    }

    /// The rule of this crate that was broken.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        self.row().3
    }

    /// The section of the RFC behind the rule.
    #[must_use]
    pub const fn rfc(self) -> &'static str {
        self.row().4
    }

    /// A short description in English.
    #[must_use]
    pub const fn text(self) -> &'static str {
        self.row().5
    }
}

/// Why a message will never be complete: the peer's doing, the network's, or a time-out.
///
/// It comes as an event (`Event::Failed`), once, and is the last of its message. Nothing is asked of
/// the application: a server's machine answers by itself where an answer makes sense.
///
/// ```
/// use keepalive::{Blame, Instant, server};
/// let mut conn = server::Connection::new(&server::Config::origin(), Instant::default());
/// let step = conn.receive(Instant::default(), b"GET / HTTP/2.0\r\n\r\n", usize::MAX);
/// let Some(server::Event::Failed(failure)) = step.event else { panic!() };
/// assert_eq!(failure.status(), Some(505));
/// assert_eq!(failure.kind.blame(), Blame::Peer);
/// assert_eq!(failure.to_string(), "major HTTP version other than 1 at octet 6 (S1.2, RFC 9110 §15.6.6)");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Failure {
    /// What happened.
    pub kind: Kind,
    /// Where: octets since the connection began, as received.
    pub offset: u64,
}

impl Failure {
    /// The status that a server answers with, if an answer makes sense.
    #[must_use]
    pub const fn status(self) -> Option<u16> {
        self.kind.status()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let k = self.kind;
        write!(f, "{} at octet {} ({}, {})", k.text(), self.offset, k.rule(), k.rfc())
    }
}

impl core::error::Error for Failure {}

/// A fault in bytes that are being read: what, and how far into them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) at: usize,
}

impl Fault {
    pub(crate) const fn new(kind: Kind, at: usize) -> Self {
        Self { kind, at }
    }
}

/// Which part of an outgoing message was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Part {
    /// The method is no token.
    Method,
    /// The target is empty, holds a forbidden octet, or has no form that this method may have.
    Target,
    /// The status is not one that this call sends.
    Status,
    /// The reason phrase holds a control character.
    Reason,
    /// A field name is no token.
    FieldName,
    /// A field value holds a control character.
    FieldValue,
    /// `Content-Length` or `Transfer-Encoding` disagrees with the declared content, or a trailer field
    /// must not stand in a trailer section.
    Framing,
    /// Content, or trailers, where the message can have none.
    Content,
    /// A 101 without an `Upgrade` that the request offered, a 426 without any, a 2xx to CONNECT with
    /// one, or an offer that is malformed.
    Upgrade,
    /// `Host` of a request is missing, repeated or malformed.
    Host,
    /// In a prepared block, a field that the machine writes itself, or decides on, in each message.
    Reserved,
}

/// The caller's mistake: nothing was written, and the connection is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SendError {
    /// The output space is too small; with `needed` octets it will do.
    Short {
        /// Octets that this call needs.
        needed: usize,
    },
    /// This call makes no sense in the present state: no request is waiting for it, its response has
    /// begun, or the connection is closing.
    NotNow,
    /// A part of the message must not be sent as it is (it could split the message, or lie about
    /// its framing).
    Invalid(Part),
    /// The declared length and the content disagree; `left` octets are still due.
    Length {
        /// Octets of the declared length that are still due.
        left: u64,
    },
    /// The client connection cannot take a request now.
    NotReady(Reuse),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { needed } => write!(f, "output space too small: {needed} octets needed"),
            Self::NotNow => f.write_str("call out of turn"),
            Self::Invalid(part) => write!(f, "refused to send: {part:?}"),
            Self::Length { left } => write!(f, "content and declared length disagree, {left} due"),
            Self::NotReady(reuse) => write!(f, "connection not ready for a request: {reuse:?}"),
        }
    }
}

impl core::error::Error for SendError {}
