//! What an intermediary passes on (S9, RFC 9110 §7.6): which field lines, which are added, and how
//! the content is framed for the next hop.
//!
//! [`request`] and [`response`] judge a head that one connection received, and give what the other
//! one is to send: the lines as a lazy iterator over the received bytes, made to be handed to
//! [`client::Connection::request`](crate::client::Connection::request) and
//! [`server::Connection::respond`](crate::server::Connection::respond) as they are. [`trailers`] does
//! the same for a trailer section, which comes when the head is gone: so [`Nominated`] is a value of
//! its own.
//!
//! What belongs to a connection stays with it: persistence is decided on each side by its own
//! machine, and nothing here looks at the other side's (S9.3). `Connection`, `Keep-Alive`,
//! `Content-Length` and `Transfer-Encoding` are written by the machines.
//!
//! Two tables decide: [`Verdict`] on each field line, [`Passage`] on the content. Facts first, then
//! the first row that holds.
//!
//! ```
//! use keepalive::{Content, RequestHead, forward};
//! let hop = forward::Hop::to_origin("edge").ok_or("no pseudonym")?;
//! let bytes = b"GET http://h/x HTTP/1.1\r\nHost: other\r\nConnection: X-Foo\r\nX-Foo: 1\r\nA: 2\r\n\r\n";
//! let head = RequestHead::parse(bytes)?;
//! let onward = forward::request(&head, &hop)?;
//! assert_eq!(onward.target(), b"/x");
//! assert_eq!(onward.content(), Some(Content::None));
//! let lines: Vec<String> = onward.lines().map(|line| format!("{line:?}")).collect();
//! assert_eq!(lines, ["Host: h", "A: 2", "Via: 1.1 edge"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod request;
mod response;
mod tables;

pub use request::{Continue, ForwardedRequest, request};
pub use response::{ForwardedResponse, response, trailers};
pub use tables::{Passage, Verdict};

use crate::bytes::is_tchar;
use crate::error::Kind;
use crate::grammar::{self, members, same};
use crate::head::Version;
use crate::head::fields::Fields;
use crate::limits;
use core::fmt;

// ---- the hop ----

/// Who we are, and what the next hop towards the origin is. One value serves all requests that go
/// there; it is cheap to copy.
///
/// ```
/// use keepalive::forward::Hop;
/// let hop = Hop::to_origin("edge-7").map(|hop| hop.buffers(true));
/// assert!(hop.is_some());
/// assert_eq!(Hop::to_origin("not a token"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop<'a> {
    pseudonym: &'a str,
    proxy: bool,
    http10: bool,
    buffers: bool,
    upgrades: &'a [&'a str],
}

/// The longest pseudonym: so that a Via line fits a small value. Names of hosts are shorter.
const PSEUDONYM: usize = 64;
/// The longest value of a Via line: `1.x`, a space, a pseudonym.
const VIA: usize = "1.x ".len() + PSEUDONYM;

impl<'a> Hop<'a> {
    /// The next hop is the origin server, or a gateway, which is the same to us.
    ///
    /// `pseudonym` is our name in Via (RFC 9110 §7.6.3): a token, or a host with or without a port,
    /// of at most 64 octets; else `None`. It is how a loop is found out, so give all machines that
    /// share one role the same name, and no two roles.
    #[must_use]
    pub fn to_origin(pseudonym: &'a str) -> Option<Self> {
        let name = pseudonym.as_bytes();
        // A host may hold commas and parentheses, which mean something else in Via.
        let host = name.iter().all(|&b| is_tchar(b) || b"[]:".contains(&b));
        let fine = (grammar::is_token(name) || host && grammar::is_host(name))
            && !name.is_empty()
            && name.len() <= PSEUDONYM;
        let new = Self {
            pseudonym,
            proxy: false,
            http10: false,
            buffers: false,
            upgrades: &["websocket"],
        };
        fine.then_some(new)
    }

    /// The next hop is a forward proxy: targets stay in absolute-form, and what is meant for proxies
    /// goes on. `pseudonym` as in [`to_origin`](Self::to_origin).
    #[must_use]
    pub fn to_proxy(pseudonym: &'a str) -> Option<Self> {
        Self::to_origin(pseudonym).map(|hop| Self { proxy: true, ..hop })
    }

    /// The next hop is known to be of version 1.0: no chunks, no expectation, no upgrade. Default:
    /// 1.1. Goes with [`client::Config::http10`](crate::client::Config::http10).
    #[must_use]
    pub const fn http10(mut self, on: bool) -> Self {
        self.http10 = on;
        self
    }

    /// Content of unknown length is collected for a next hop of version 1.0, so that its length can
    /// be declared. Default: such a request is refused with 411 (S9.7), since the memory is yours.
    #[must_use]
    pub const fn buffers(mut self, on: bool) -> Self {
        self.buffers = on;
        self
    }

    /// The protocols whose upgrade is passed on, to be tunnelled when the origin switches. Default:
    /// `websocket`. With `h2c` among them, clients reach the origin past everything that you check.
    #[must_use]
    pub const fn upgrades(mut self, protocols: &'a [&'a str]) -> Self {
        self.upgrades = protocols;
        self
    }

    fn switches(&self, protocol: &[u8]) -> bool {
        !self.http10 && self.upgrades.iter().any(|p| same(p.as_bytes(), protocol))
    }

    /// `Via: 1.x pseudonym`, with the version received (S9.5).
    fn via(&self, received: Version) -> Text<VIA> {
        let digit = [b'0'.saturating_add(received.minor().min(9))];
        Text::of(&[b"1.", &digit, b" ", self.pseudonym.as_bytes()]).unwrap_or_default()
    }

    /// Whether a message with these fields was here before (S9.5).
    ///
    /// A comma inside a comment counts as one between members. That errs on the side of finding a
    /// loop; the other way, an open parenthesis would hide all that stands behind it.
    fn is_in(&self, fields: Fields<'_>) -> bool {
        fields.filter(|line| line.is("via")).flat_map(|line| members(line.value)).any(|member| {
            let by = member.split(|&b| b == b' ' || b == b'\t').filter(|w| !w.is_empty()).nth(1);
            by.is_some_and(|by| same(by, self.pseudonym.as_bytes()))
        })
    }
}

// ---- refusals ----

macro_rules! refusals {
    ($($name:ident $status:literal $rule:literal $rfc:literal $text:literal;)*) => {
        /// Why a message does not go on: one row of one table, with status, rule and text.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Refusal { $(#[doc = concat!($text, " (`", $rule, "`, ", $rfc, ").")] $name,)* }

        impl Refusal {
            /// Every refusal, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            const fn row(self) -> (&'static str, u16, &'static str, &'static str, &'static str) {
                match self { $(Self::$name => (stringify!($name), $status, $rule, $rfc, $text),)* }
            }
        }
    };
}

refusals! {
    // not errors: the request ends here
    LastHop 0 "S9.8" "RFC 9110 §7.6.2" "Max-Forwards is used up: this is the final recipient";
    Connect 0 "S9.8" "RFC 9110 §9.3.6" "CONNECT to an origin: the tunnel begins here";
    // the client's
    Protected 400 "S9.2" "RFC 9110 §7.6.1" "Connection names a field that must go on";
    TooManyOptions 400 "S9.1" "RFC 9110 §7.6.1" "too many connection options to heed";
    MaxForwards 400 "S9.8" "RFC 9110 §7.6.2" "Max-Forwards is not one number";
    TraceContent 400 "S9.7" "RFC 9110 §9.3.8" "TRACE with content";
    LengthRequired 411 "S9.7" "RFC 9110 §15.5.12" "content of unknown length for a next hop of version 1.0";
    TargetTooLong 414 "S9.8" "RFC 9112 §3" "a query without a path, too long to be rewritten";
    Loop 508 "S9.5" "RFC 9110 §7.6.3" "the request was here before";
    // the upstream server's
    ResponseOptions 502 "S9.1" "RFC 9110 §7.6.1" "too many connection options in the response";
    ResponseUpgrade 502 "S1.4" "RFC 9110 §15.5.22" "a 426 that names no protocol";
    ResponseCoding 502 "S8-5" "RFC 9112 §6.1" "a transfer coding that was not decoded";
}

impl Refusal {
    /// The name of the variant, for logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// The status to answer with. `None` where the request is to be answered as by its final
    /// recipient: TRACE, OPTIONS and CONNECT.
    #[must_use]
    pub const fn status(self) -> Option<u16> {
        match self.row().1 {
            0 => None,
            status => Some(status),
        }
    }

    /// The rule of this crate behind it.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        self.row().2
    }

    /// The section of the RFC behind the rule.
    #[must_use]
    pub const fn rfc(self) -> &'static str {
        self.row().3
    }

    /// A short description in English.
    #[must_use]
    pub const fn text(self) -> &'static str {
        self.row().4
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {})", self.text(), self.rule(), self.rfc())
    }
}

impl core::error::Error for Refusal {}

/// The status for the client where the exchange with the next hop failed before a response head had
/// gone on: 504 for silence, 502 for all else (RFC 9110 §15.6.3, §15.6.5). After the head there is
/// none: [`abort`](crate::server::Connection::abort) (S6.4).
///
/// Not [`Kind::status`]: what is the sender's fault in a request, and then 400, is here that of the
/// server, and 502.
///
/// ```
/// use keepalive::{Kind, forward};
/// assert_eq!(forward::gateway_status(Kind::ObsFold), 502);
/// assert_eq!(forward::gateway_status(Kind::ResponseTimeout), 504);
/// ```
#[must_use]
pub const fn gateway_status(failure: Kind) -> u16 {
    match failure {
        Kind::ResponseTimeout | Kind::ContentTimeout | Kind::WriteTimeout => 504,
        _ => 502,
    }
}

// ---- nominations ----

/// The fields that a Connection field nominates as its hop's own (RFC 9110 §7.6.1), and that stop
/// here, in trailers too (S9.1). Keep it from the head until the trailers have come.
///
/// It holds fingerprints, no names: a value of 132 octets without a lifetime. That two names have the
/// same one is possible; all that comes of it is a field that the peer might as well have nominated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Nominated {
    prints: [u32; limits::CONNECTION_OPTIONS as usize],
    len: u8,
}

impl Nominated {
    /// Nothing is nominated.
    pub const NONE: Self = Self { prints: [0; limits::CONNECTION_OPTIONS as usize], len: 0 };

    /// All options of all Connection lines; `None` if they are too many (S1.1). What is no token
    /// names no field.
    fn of(fields: Fields<'_>) -> Option<Self> {
        let mut all = Self::NONE;
        for option in options(fields).filter(|o| grammar::is_token(o)) {
            *all.prints.get_mut(usize::from(all.len))? = grammar::fingerprint(option);
            all.len += 1;
        }
        Some(all)
    }

    fn has(&self, name: &[u8]) -> bool {
        self.len > 0 && {
            let print = grammar::fingerprint(name);
            self.prints.iter().take(usize::from(self.len)).any(|&p| p == print)
        }
    }
}

/// The members of all Connection lines.
fn options(fields: Fields<'_>) -> impl Iterator<Item = &[u8]> {
    fields
        .filter(|line| line.is("connection"))
        .flat_map(|line| members(line.value))
        .filter(|m| !m.is_empty())
}

// ---- small texts ----

/// A short text that is made here and not received.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Text<const N: usize> {
    bytes: [u8; N],
    len: u16,
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self { bytes: [0; N], len: 0 }
    }
}

impl<const N: usize> Text<N> {
    /// Of pieces; `None` if they do not fit.
    fn of(pieces: &[&[u8]]) -> Option<Self> {
        let mut text = Self::default();
        for piece in pieces {
            let begin = usize::from(text.len);
            let end = begin + piece.len();
            text.bytes.get_mut(begin..end)?.copy_from_slice(piece);
            text.len = u16::try_from(end).ok()?;
        }
        Some(text)
    }

    /// In decimal, without leading zeros.
    fn number(n: u32) -> Self {
        let mut digits = [0u8; 10];
        let mut rest = n;
        let mut from = digits.len();
        for slot in digits.iter_mut().rev() {
            *slot = b'0' + (rest % 10) as u8;
            from -= 1;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        Self::of(&[digits.get(from..).unwrap_or_default()]).unwrap_or_default()
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_bytes().escape_ascii())
    }
}
