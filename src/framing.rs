//! Message framing (S8, RFC 9112 §6.3): where the content of a message ends.
//!
//! Two tables, one for each direction. The scan of the head gathers the facts; the first row that
//! holds decides. Framing and nothing else is decided here: what a verdict does to the connection is
//! persistence's affair.

use crate::error::Kind;

/// How the content of a request is delimited. A request has no content that ends with the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestFraming {
    /// There is none.
    None,
    /// So many octets: what Content-Length said, zero included.
    Length(u64),
    /// The chunked coding.
    Chunked,
}

/// How the content of a response is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResponseFraming {
    /// There is none, whatever the fields say: HEAD, 1xx, 204, 304.
    None,
    /// So many octets: what Content-Length said, zero included.
    Length(u64),
    /// The chunked coding.
    Chunked,
    /// The content ends with the connection.
    UntilClose,
    /// No content: the connection leaves HTTP (101, or 2xx to CONNECT).
    Tunnel,
}

/// All Content-Length fields of a message, taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lengths {
    Absent,
    One(u64),
    /// Given more than once, octet for octet the same.
    Same(u64),
    /// Not a number, too large, or values that differ.
    Bad,
}

/// All Transfer-Encoding fields of a message, taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Codings {
    Absent,
    /// `chunked`, once and alone.
    Chunked,
    /// Codings that are not implemented, and then `chunked`, once.
    OtherThenChunked,
    /// Codings that are not implemented, without a final `chunked`.
    NotChunked,
    /// Malformed: empty members, `identity`, `chunked` twice or with parameters, or not last.
    Bad,
}

/// What decides the framing of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RequestFacts {
    pub(crate) connect: bool,
    pub(crate) http10: bool,
    pub(crate) lengths: Lengths,
    pub(crate) codings: Codings,
    /// The setting that lets Transfer-Encoding win over Content-Length and on 1.0, without reuse.
    pub(crate) tolerant: bool,
}

/// What decides the framing of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ResponseFacts {
    /// To HEAD, or 1xx but 101, 204, 304.
    pub(crate) bodiless: bool,
    /// 2xx to CONNECT, or a 101 that was asked for.
    pub(crate) tunnel: bool,
    pub(crate) http10: bool,
    pub(crate) lengths: Lengths,
    pub(crate) codings: Codings,
    /// The setting that lets Transfer-Encoding win over Content-Length and on 1.0, without reuse.
    pub(crate) tolerant: bool,
    /// The setting that hands over content in codings that are not implemented, as it is.
    pub(crate) raw: bool,
}

macro_rules! table {
    ($name:ident, $rows:ident, $facts:ident: $Facts:ty => $Framing:ty;
     $($label:literal $when:expr => $then:expr;)* _ $last:literal => $otherwise:expr;) => {
        /// The first row that holds decides.
        pub(crate) fn $name($facts: &$Facts) -> Result<$Framing, Kind> {
            $(if $when { return $then; })*
            $otherwise
        }

        /// The rows by label, for the proof that none is dead and none is missing.
        #[cfg(test)]
        #[allow(clippy::type_complexity)]
        const $rows: &[(&str, fn(&$Facts) -> bool, fn(&$Facts) -> Result<$Framing, Kind>)] = &[
            $(($label, |$facts| $when, |$facts| { let _ = $facts; $then }),)*
            ($last, |_| true, |$facts| { let _ = $facts; $otherwise }),
        ];
    };
}

impl Lengths {
    fn present(self) -> bool {
        self != Self::Absent
    }
    fn positive(self) -> bool {
        !matches!(self, Self::Absent | Self::One(0) | Self::Same(0))
    }
    fn value(self) -> u64 {
        match self {
            Self::One(n) | Self::Same(n) => n,
            Self::Absent | Self::Bad => 0,
        }
    }
}

use {Codings as C, Lengths as L, RequestFraming as Q, ResponseFraming as R};

table! { request, REQUEST, f: RequestFacts => RequestFraming;
    "S8-2 CONNECT with content" f.connect && (f.codings != C::Absent || f.lengths.positive()) => Err(Kind::ConnectContent);
    "S8.1 CONNECT with a repeated length" f.connect && matches!(f.lengths, L::Same(_)) => Err(Kind::LengthRepeated);
    "S8-2 CONNECT" f.connect => Ok(Q::None);
    "S8-3 coding and length" f.codings != C::Absent && f.lengths.present() && !f.tolerant => Err(Kind::CodingWithLength);
    "S8-3b coding on 1.0" f.codings != C::Absent && f.http10 && !f.tolerant => Err(Kind::CodingOnHttp10);
    "S8-4 chunked" f.codings == C::Chunked => Ok(Q::Chunked);
    "S8-5 unknown, then chunked" f.codings == C::OtherThenChunked => Err(Kind::CodingUnknown);
    "S8-5 not chunked last" f.codings != C::Absent => Err(Kind::CodingInvalid);
    "S8-6 invalid length" f.lengths == L::Bad => Err(Kind::LengthInvalid);
    "S8.1 repeated length" matches!(f.lengths, L::Same(_)) => Err(Kind::LengthRepeated);
    "S8-7 length" f.lengths.present() => Ok(Q::Length(f.lengths.value()));
    _ "S8-8 neither" => Ok(Q::None);
}

table! { response, RESPONSE, f: ResponseFacts => ResponseFraming;
    "S8-1 none by definition" f.bodiless => Ok(R::None);
    "S8-2 tunnel" f.tunnel => Ok(R::Tunnel);
    "S8-3 coding and length" f.codings != C::Absent && f.lengths.present() && !f.tolerant => Err(Kind::CodingWithLength);
    "S8-3b coding on 1.0" f.codings != C::Absent && f.http10 && !f.tolerant => Err(Kind::CodingOnHttp10);
    "S8-4 chunked" f.codings == C::Chunked => Ok(R::Chunked);
    "S8-5 unknown, then chunked, raw" f.codings == C::OtherThenChunked && f.raw => Ok(R::Chunked);
    "S8-5 not chunked, raw" f.codings == C::NotChunked && f.raw => Ok(R::UntilClose);
    "S8-5 unsupported" matches!(f.codings, C::OtherThenChunked | C::NotChunked) => Err(Kind::CodingUnknown);
    "S8-5 malformed" f.codings != C::Absent => Err(Kind::CodingInvalid);
    "S8-6 invalid length" f.lengths == L::Bad => Err(Kind::LengthInvalid);
    "S8-7 length" f.lengths.present() => Ok(R::Length(f.lengths.value()));
    _ "S8-8 neither" => Ok(R::UntilClose);
}

#[cfg(test)]
mod tables {
    use super::*;

    const LENGTHS: [Lengths; 6] = [L::Absent, L::One(0), L::One(7), L::Same(0), L::Same(7), L::Bad];
    const CODINGS: [Codings; 5] =
        [C::Absent, C::Chunked, C::OtherThenChunked, C::NotChunked, C::Bad];
    const BOTH: [bool; 2] = [false, true];

    /// Row by row as RFC 9112 §6.3 is read aloud, without the table.
    fn request_slowly(f: &RequestFacts) -> Result<Q, Kind> {
        let te = f.codings != C::Absent;
        let cl = f.lengths != L::Absent;
        if f.connect {
            let zero = matches!(f.lengths, L::One(0) | L::Same(0));
            return match f.lengths {
                _ if te || cl && !zero => Err(Kind::ConnectContent),
                L::Same(_) => Err(Kind::LengthRepeated),
                _ => Ok(Q::None),
            };
        }
        if te {
            if !f.tolerant && cl {
                return Err(Kind::CodingWithLength);
            }
            if !f.tolerant && f.http10 {
                return Err(Kind::CodingOnHttp10);
            }
            return match f.codings {
                C::Chunked => Ok(Q::Chunked),
                C::OtherThenChunked => Err(Kind::CodingUnknown),
                _ => Err(Kind::CodingInvalid),
            };
        }
        match f.lengths {
            L::Absent => Ok(Q::None),
            L::One(n) => Ok(Q::Length(n)),
            L::Same(_) => Err(Kind::LengthRepeated),
            L::Bad => Err(Kind::LengthInvalid),
        }
    }

    fn response_slowly(f: &ResponseFacts) -> Result<R, Kind> {
        let te = f.codings != C::Absent;
        if f.bodiless || f.tunnel {
            return Ok(if f.bodiless { R::None } else { R::Tunnel });
        }
        if te {
            if !f.tolerant && f.lengths != L::Absent {
                return Err(Kind::CodingWithLength);
            }
            if !f.tolerant && f.http10 {
                return Err(Kind::CodingOnHttp10);
            }
            return match (f.codings, f.raw) {
                (C::Chunked, _) | (C::OtherThenChunked, true) => Ok(R::Chunked),
                (C::NotChunked, true) => Ok(R::UntilClose),
                (C::Bad, _) => Err(Kind::CodingInvalid),
                _ => Err(Kind::CodingUnknown),
            };
        }
        match f.lengths {
            L::Absent => Ok(R::UntilClose),
            L::One(n) | L::Same(n) => Ok(R::Length(n)),
            L::Bad => Err(Kind::LengthInvalid),
        }
    }

    #[test]
    fn only_a_length_has_a_value() {
        let values = LENGTHS.map(|l| (l.present(), l.positive(), l.value()));
        let want = [(false, 0), (true, 0), (true, 7), (true, 0), (true, 7), (true, 0)];
        assert_eq!(values.map(|(present, _, value)| (present, value)), want);
        // What is no length is not known to be zero.
        assert_eq!(values.map(|v| v.1), [false, false, true, false, true, true]);
    }

    #[test]
    fn every_request_is_decided_by_one_row_and_no_row_is_dead() {
        let mut used = vec![0u32; REQUEST.len()];
        for connect in BOTH {
            for http10 in BOTH {
                for tolerant in BOTH {
                    for lengths in LENGTHS {
                        for codings in CODINGS {
                            let f = RequestFacts { connect, http10, lengths, codings, tolerant };
                            let row = REQUEST.iter().position(|r| r.1(&f)).expect("a row holds");
                            used[row] += 1;
                            assert_eq!(REQUEST[row].2(&f), request(&f));
                            assert_eq!(request(&f), request_slowly(&f), "{f:?} {}", REQUEST[row].0);
                        }
                    }
                }
            }
        }
        assert!(used.iter().all(|&n| n > 0), "dead row: {used:?}");
    }

    #[test]
    fn every_response_is_decided_by_one_row_and_no_row_is_dead() {
        let mut used = vec![0u32; RESPONSE.len()];
        for (bodiless, tunnel) in [(false, false), (true, false), (false, true), (true, true)] {
            for (http10, tolerant, raw) in (0..8).map(|n| (n & 1 != 0, n & 2 != 0, n & 4 != 0)) {
                for lengths in LENGTHS {
                    for codings in CODINGS {
                        let f = ResponseFacts {
                            bodiless,
                            tunnel,
                            http10,
                            lengths,
                            codings,
                            tolerant,
                            raw,
                        };
                        let row = RESPONSE.iter().position(|r| r.1(&f)).expect("a row holds");
                        used[row] += 1;
                        assert_eq!(RESPONSE[row].2(&f), response(&f));
                        assert_eq!(response(&f), response_slowly(&f), "{f:?} {}", RESPONSE[row].0);
                    }
                }
            }
        }
        assert!(used.iter().all(|&n| n > 0), "dead row: {used:?}");
    }
}
