//! The tables: which field lines go on, and how content goes on, in each direction.
//!
//! Facts are gathered by the callers; the first row that holds decides. The rows are data for the
//! tests, which walk through every combination of facts beside a second, slow reading of the rules.

use super::Refusal;
use crate::content::{Content, Plan};
use crate::framing::{RequestFraming, ResponseFraming};
use crate::grammar::same;

macro_rules! table {
    ($(#[$doc:meta])* $name:ident, $rows:ident, $facts:ident: $Facts:ty => $Out:ty;
     $($label:literal $when:expr => $then:expr;)* _ $last:literal => $otherwise:expr;) => {
        $(#[$doc])*
        pub(super) fn $name($facts: &$Facts) -> $Out {
            $(if $when { return $then; })*
            $otherwise
        }

        /// The rows by label, for the proof that none is dead and none is missing.
        #[cfg(test)]
        #[allow(clippy::type_complexity)]
        const $rows: &[(&str, fn(&$Facts) -> bool, fn(&$Facts) -> $Out)] = &[
            $(($label, |$facts| $when, |$facts| { let _ = $facts; $then }),)*
            ($last, |_| true, |$facts| { let _ = $facts; $otherwise }),
        ];
    };
}

/// Where a field line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Request,
    Response,
    Trailers,
}

/// The names that decide something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Connection,
    KeepAlive,
    ProxyConnection,
    Te,
    TransferEncoding,
    Upgrade,
    ContentLength,
    Host,
    MaxForwards,
    Expect,
    /// Proxy-Authorization.
    ProxyLogin,
    /// Proxy-Authenticate, Proxy-Authentication-Info.
    ProxyChallenge,
    /// Others that a nomination does not remove (S9.2).
    Protected,
    Other,
}

impl Name {
    pub(super) fn of(name: &[u8]) -> Self {
        let is = |known: &[u8]| same(name, known);
        match name.len() {
            2 if is(b"te") => Self::Te,
            3 if is(b"via") => Self::Protected,
            4 if is(b"host") => Self::Host,
            4 if is(b"date") => Self::Protected,
            6 if is(b"expect") => Self::Expect,
            6 if is(b"cookie") => Self::Protected,
            7 if is(b"upgrade") => Self::Upgrade,
            9 if is(b"forwarded") => Self::Protected,
            10 if is(b"connection") => Self::Connection,
            10 if is(b"keep-alive") => Self::KeepAlive,
            10 if is(b"set-cookie") => Self::Protected,
            12 if is(b"max-forwards") => Self::MaxForwards,
            12 if is(b"content-type") => Self::Protected,
            13 if is(b"authorization") || is(b"cache-control") || is(b"content-range") => {
                Self::Protected
            }
            14 if is(b"content-length") => Self::ContentLength,
            16 if is(b"proxy-connection") => Self::ProxyConnection,
            16 if is(b"content-encoding") => Self::Protected,
            17 if is(b"transfer-encoding") => Self::TransferEncoding,
            18 if is(b"proxy-authenticate") => Self::ProxyChallenge,
            19 if is(b"proxy-authorization") => Self::ProxyLogin,
            25 if is(b"proxy-authentication-info") => Self::ProxyChallenge,
            _ if name.get(..12).is_some_and(|start| same(start, b"x-forwarded-")) => {
                Self::Protected
            }
            _ => Self::Other,
        }
    }

    /// S9.2: a nomination does not remove it.
    pub(super) fn is_protected(self) -> bool {
        matches!(
            self,
            Self::Host | Self::ContentLength | Self::MaxForwards | Self::Expect | Self::Protected
        )
    }
}

/// What decides whether a field line goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LineFacts {
    pub(super) section: Section,
    pub(super) name: Name,
    pub(super) nominated: bool,
    /// The next hop towards the origin is a proxy.
    pub(super) proxy: bool,
    /// The method is TRACE or OPTIONS.
    pub(super) bounded: bool,
    /// The line expects a 100 where nobody can wait for one: on 1.0, or without content.
    pub(super) void: bool,
}

/// Whether a field line goes on, by which rule, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Verdict {
    /// Whether it does.
    pub goes: bool,
    /// The rule of this crate behind it.
    pub rule: &'static str,
    /// The section of the RFC behind the rule.
    pub rfc: &'static str,
    /// A short reason in English.
    pub why: &'static str,
}

const fn goes(rule: &'static str, rfc: &'static str, why: &'static str) -> Verdict {
    Verdict { goes: true, rule, rfc, why }
}

const fn stays(rule: &'static str, rfc: &'static str, why: &'static str) -> Verdict {
    Verdict { goes: false, rule, rfc, why }
}

use {RequestFraming as Q, ResponseFraming as R};

table! {
    /// Which field lines go on. Those that are put in anew stay behind here, too.
    line, LINE, f: LineFacts => Verdict;
    "Connection" f.name == Name::Connection => stays("S9.1", "RFC 9110 §7.6.1", "is of its own connection");
    "Keep-Alive" f.name == Name::KeepAlive => stays("S9.1", "RFC 9110 §7.6.1", "is of its own connection");
    "Proxy-Connection" f.name == Name::ProxyConnection => stays("S9.4", "RFC 9112 §C.2.2", "means nothing, and harms where it is passed on");
    "TE" f.name == Name::Te => stays("S9.1", "RFC 9110 §10.1.4", "is put in anew where the client takes trailers");
    "Transfer-Encoding" f.name == Name::TransferEncoding => stays("S9.1", "RFC 9112 §6.1", "is of its own connection");
    "Upgrade" f.name == Name::Upgrade => stays("S9.1", "RFC 9110 §7.8", "is put in anew where it can be tunnelled");
    "Content-Length" f.name == Name::ContentLength => stays("S9.8", "RFC 9110 §8.6", "is put in anew from the framing, once");
    "Host" f.name == Name::Host && f.section == Section::Request => stays("S9.8", "RFC 9112 §3.2.2", "is put in anew from the authority");
    "Max-Forwards" f.name == Name::MaxForwards && f.section == Section::Request && f.bounded => stays("S9.8", "RFC 9110 §7.6.2", "is put in anew, less one");
    "Expect in vain" f.name == Name::Expect && f.section == Section::Request && f.void => stays("S8.8", "RFC 9110 §10.1.1", "nobody can wait for a 100");
    "Proxy-Authorization" f.name == Name::ProxyLogin && f.section == Section::Request && !f.proxy => stays("S9.1", "RFC 9110 §11.7.2", "is for proxies, and none follows");
    "Proxy-Authenticate" f.name == Name::ProxyChallenge && f.section != Section::Request && !f.proxy => stays("S9.1", "RFC 9110 §11.7.1", "is from proxies, and none precedes");
    "nominated, protected" f.nominated && f.name.is_protected() => goes("S9.2", "RFC 9110 §7.6.1", "is nominated in vain");
    "nominated" f.nominated => stays("S9.1", "RFC 9110 §7.6.1", "is nominated by Connection");
    _ "goes on" => goes("S9.1", "RFC 9110 §7.6", "end to end");
}

/// What decides how the content of a request goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestFacts {
    pub(super) framing: RequestFraming,
    pub(super) trace: bool,
    /// The next hop is of version 1.0.
    pub(super) http10: bool,
    pub(super) buffers: bool,
}

table! {
    /// S9.7, towards the origin. `None`: to be collected first, and then declared with its length.
    request_content, REQUEST, f: RequestFacts => Result<Option<Content>, Refusal>;
    "no content" matches!(f.framing, Q::None) || f.trace && f.framing == Q::Length(0) => Ok(Some(Content::None));
    "content on TRACE" f.trace => Err(Refusal::TraceContent);
    "length" matches!(f.framing, Q::Length(_)) => Ok(Some(Content::Length(length(f.framing))));
    "chunked to 1.1" !f.http10 => Ok(Some(Content::Unknown));
    "chunked to 1.0, collected" f.buffers => Ok(None);
    _ "chunked to 1.0" => Err(Refusal::LengthRequired);
}

const fn length(framing: RequestFraming) -> u64 {
    match framing {
        Q::Length(n) => n,
        Q::None | Q::Chunked => 0,
    }
}

/// How the content of a response goes on (S9.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Passage {
    /// No content follows; a length may be declared all the same (HEAD, 304).
    Nothing(Option<u64>),
    /// So many octets.
    Length(u64),
    /// In chunks, whatever ended it before: the connection persists. Trailers go on.
    Chunked,
    /// Decoded, to a client of version 1.0: the end of the connection ends it, trailers are lost.
    UntilClose,
    /// It is thrown away: a 205 has none (RFC 9110 §15.3.6), though its sender sent some.
    Dropped,
    /// The connection leaves HTTP, on both sides.
    Tunnel,
}

impl Passage {
    /// What to declare to [`respond`](crate::server::Connection::respond).
    #[must_use]
    pub const fn content(self) -> Content {
        match self {
            Self::Length(n) | Self::Nothing(Some(n)) => Content::Length(n),
            Self::Chunked | Self::UntilClose => Content::Unknown,
            Self::Nothing(None) | Self::Dropped | Self::Tunnel => Content::None,
        }
    }

    /// What [`respond`](crate::server::Connection::respond) makes of it.
    #[must_use]
    pub const fn plan(self) -> Plan {
        match self {
            Self::Length(n) => Plan::Length(n),
            Self::Chunked => Plan::Chunked,
            Self::UntilClose => Plan::UntilClose,
            Self::Nothing(_) | Self::Dropped => Plan::None,
            Self::Tunnel => Plan::Tunnel,
        }
    }
}

/// What decides how the content of a response goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ResponseFacts {
    pub(super) framing: ResponseFraming,
    pub(super) status: u16,
    /// What Content-Length says, also where no content follows.
    pub(super) declared: Option<u64>,
    /// A Transfer-Encoding is there.
    pub(super) coded: bool,
    /// It is more than `chunked`, and was let through as it is.
    pub(super) raw: bool,
    /// The client is of version 1.0.
    pub(super) http10: bool,
}

table! {
    /// S9.7, towards the client.
    response_content, RESPONSE, f: ResponseFacts => Result<Passage, Refusal>;
    "tunnel" f.framing == R::Tunnel => Ok(Passage::Tunnel);
    "nothing, and no length to tell" f.framing == R::None && (f.status < 200 || matches!(f.status, 204 | 205) || f.coded) => Ok(Passage::Nothing(None));
    "nothing" f.framing == R::None => Ok(Passage::Nothing(f.declared));
    "undecoded" f.raw => Err(Refusal::ResponseCoding);
    "length 0" f.framing == R::Length(0) => Ok(Passage::Nothing(Some(0)));
    "205 with content" f.status == 205 => Ok(Passage::Dropped);
    "length" matches!(f.framing, R::Length(_)) => Ok(Passage::Length(sized(f.framing)));
    "chunked or until close, to 1.1" !f.http10 => Ok(Passage::Chunked);
    _ "chunked or until close, to 1.0" => Ok(Passage::UntilClose);
}

const fn sized(framing: ResponseFraming) -> u64 {
    match framing {
        R::Length(n) => n,
        R::None | R::Chunked | R::UntilClose | R::Tunnel => 0,
    }
}

#[cfg(test)]
mod proofs {
    use super::*;

    const BOTH: [bool; 2] = [false, true];
    const NAMES: [Name; 14] = [
        Name::Connection,
        Name::KeepAlive,
        Name::ProxyConnection,
        Name::Te,
        Name::TransferEncoding,
        Name::Upgrade,
        Name::ContentLength,
        Name::Host,
        Name::MaxForwards,
        Name::Expect,
        Name::ProxyLogin,
        Name::ProxyChallenge,
        Name::Protected,
        Name::Other,
    ];

    /// A name for each, so that the second reading can go by what the RFC calls them.
    fn spelled(name: Name) -> &'static str {
        match name {
            Name::Connection => "Connection",
            Name::KeepAlive => "Keep-Alive",
            Name::ProxyConnection => "Proxy-Connection",
            Name::Te => "TE",
            Name::TransferEncoding => "Transfer-Encoding",
            Name::Upgrade => "Upgrade",
            Name::ContentLength => "Content-Length",
            Name::Host => "Host",
            Name::MaxForwards => "Max-Forwards",
            Name::Expect => "Expect",
            Name::ProxyLogin => "Proxy-Authorization",
            Name::ProxyChallenge => "Proxy-Authenticate",
            Name::Protected => "Set-Cookie",
            Name::Other => "X-Other",
        }
    }

    /// S9.1, S9.2, S9.4 and S9.8 by name, without the table and without the classes.
    fn line_slowly(name: &str, f: &LineFacts) -> bool {
        let never = [
            "Connection",
            "Keep-Alive",
            "Proxy-Connection",
            "TE",
            "Transfer-Encoding",
            "Upgrade",
            "Content-Length",
        ];
        let protected = ["Host", "Max-Forwards", "Expect", "Set-Cookie"];
        let request = f.section == Section::Request;
        // What the request has put in anew, or what makes no sense any more.
        let anew = request
            && (name == "Host"
                || name == "Max-Forwards" && f.bounded
                || name == "Expect" && f.void);
        let between_proxies = if request { "Proxy-Authorization" } else { "Proxy-Authenticate" };
        !(never.contains(&name)
            || anew
            || name == between_proxies && !f.proxy
            || f.nominated && !protected.contains(&name))
    }

    #[test]
    fn every_field_line_is_decided_by_one_row_and_no_row_is_dead() {
        let mut used = vec![0u32; LINE.len()];
        for section in [Section::Request, Section::Response, Section::Trailers] {
            for name in NAMES {
                assert_eq!(Name::of(spelled(name).as_bytes()), name);
                for bits in 0..16u32 {
                    let b = |n: u32| bits >> n & 1 != 0;
                    let (nominated, proxy, bounded, void) = (b(0), b(1), b(2), b(3));
                    let f = LineFacts { section, name, nominated, proxy, bounded, void };
                    let row = LINE.iter().position(|r| r.1(&f)).expect("a row holds");
                    used[row] += 1;
                    assert_eq!(LINE[row].2(&f), line(&f));
                    let goes = line_slowly(spelled(name), &f);
                    assert_eq!(line(&f).goes, goes, "{f:?} {}", LINE[row].0);
                }
            }
        }
        assert!(used.iter().all(|&n| n > 0), "dead row: {used:?}");
    }

    #[test]
    fn names_are_known_in_any_case_and_whole() {
        let protected = "Host Content-Length Content-Type Content-Encoding Content-Range \
            Authorization Cookie Set-Cookie Cache-Control Via Forwarded X-Forwarded-For \
            x-forwarded-proto Expect Max-Forwards Date";
        for name in protected.split_whitespace() {
            for name in [name.to_owned(), name.to_lowercase(), name.to_uppercase()] {
                assert!(Name::of(name.as_bytes()).is_protected(), "{name}");
            }
        }
        let free = "Trailer X-Foo X-Forwarded X-Forwarde Proxy-Authorization ETag Hos Hostt \
            Content-Typ Accept Digest User-Agent Upgrade TE Keep-Alive close keep-alive";
        for name in free.split_whitespace() {
            assert!(!Name::of(name.as_bytes()).is_protected(), "{name}");
        }
        assert_eq!(Name::of(b"Proxy-Authentication-Info"), Name::ProxyChallenge);
    }

    /// With any octet of it changed, a name is another.
    #[test]
    fn names_are_compared_whole() {
        let protected = "Via Host Date Expect Cookie Forwarded Set-Cookie Max-Forwards Content-Type \
            Authorization Cache-Control Content-Range Content-Length Content-Encoding";
        let others = NAMES.map(spelled).into_iter().chain(["Proxy-Authentication-Info"]);
        for name in protected.split_whitespace().chain(others) {
            if name == spelled(Name::Other) {
                continue;
            }
            assert_ne!(Name::of(name.as_bytes()), Name::Other, "{name}");
            for at in 0..name.len() {
                let mut other = name.as_bytes().to_vec();
                other[at] = b'~';
                assert_eq!(Name::of(&other), Name::Other, "{name} at {at}");
            }
        }
    }

    fn request_slowly(f: &RequestFacts) -> Result<Option<Content>, Refusal> {
        let content = match f.framing {
            Q::None => Content::None,
            Q::Length(n) => Content::Length(n),
            Q::Chunked => Content::Unknown,
        };
        if f.trace {
            let empty = matches!(content, Content::None | Content::Length(0));
            return if empty { Ok(Some(Content::None)) } else { Err(Refusal::TraceContent) };
        }
        match (content, f.http10, f.buffers) {
            (Content::Unknown, true, true) => Ok(None),
            (Content::Unknown, true, false) => Err(Refusal::LengthRequired),
            _ => Ok(Some(content)),
        }
    }

    #[test]
    fn every_request_content_is_decided_by_one_row_and_no_row_is_dead() {
        let mut used = vec![0u32; REQUEST.len()];
        for framing in [Q::None, Q::Length(0), Q::Length(7), Q::Chunked] {
            for trace in BOTH {
                for http10 in BOTH {
                    for buffers in BOTH {
                        let f = RequestFacts { framing, trace, http10, buffers };
                        let row = REQUEST.iter().position(|r| r.1(&f)).expect("a row holds");
                        used[row] += 1;
                        assert_eq!(REQUEST[row].2(&f), request_content(&f));
                        assert_eq!(
                            request_content(&f),
                            request_slowly(&f),
                            "{f:?} {}",
                            REQUEST[row].0
                        );
                    }
                }
            }
        }
        assert!(used.iter().all(|&n| n > 0), "dead row: {used:?}");
    }

    /// S9.7 and RFC 9112 §6.3 once more: what octets come, what is told of them, and who is there to
    /// take them.
    fn response_slowly(f: &ResponseFacts) -> Result<Passage, Refusal> {
        let interim = f.status < 200;
        match f.framing {
            R::Tunnel => Ok(Passage::Tunnel),
            // RFC 9110 §8.6: no length with 1xx and 204; §15.3.6: a 205 has none but 0. RFC 9112
            // §6.3: a coding overrides it.
            R::None => Ok(Passage::Nothing(match f.declared {
                Some(n) if !interim && f.status != 204 && f.status != 205 && !f.coded => Some(n),
                _ => None,
            })),
            R::Length(_) | R::Chunked | R::UntilClose if f.raw => Err(Refusal::ResponseCoding),
            R::Length(0) => Ok(Passage::Nothing(Some(0))),
            _ if f.status == 205 => Ok(Passage::Dropped),
            R::Length(n) => Ok(Passage::Length(n)),
            R::Chunked | R::UntilClose if f.http10 => Ok(Passage::UntilClose),
            R::Chunked | R::UntilClose => Ok(Passage::Chunked),
        }
    }

    #[test]
    fn every_response_content_is_decided_by_one_row_and_no_row_is_dead() {
        let mut used = vec![0u32; RESPONSE.len()];
        let framings = [R::None, R::Length(0), R::Length(7), R::Chunked, R::UntilClose, R::Tunnel];
        for framing in framings {
            for status in [100, 101, 103, 200, 204, 205, 206, 304, 404, 426, 502, 999] {
                for declared in [None, Some(0), Some(7)] {
                    for (coded, raw) in [(false, false), (true, false), (true, true)] {
                        for http10 in BOTH {
                            let f = ResponseFacts { framing, status, declared, coded, raw, http10 };
                            let row = RESPONSE.iter().position(|r| r.1(&f)).expect("a row holds");
                            used[row] += 1;
                            assert_eq!(RESPONSE[row].2(&f), response_content(&f));
                            let want = response_slowly(&f);
                            assert_eq!(response_content(&f), want, "{f:?} {}", RESPONSE[row].0);
                        }
                    }
                }
            }
        }
        assert!(used.iter().all(|&n| n > 0), "dead row: {used:?}");
    }
}
