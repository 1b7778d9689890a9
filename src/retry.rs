//! Retry verdicts (S5): after a failure, is it safe to send a request again?
//!
//! A table over facts. The machine judges one request at a time; whether its content can be replayed
//! only the caller knows.

/// The verdict on sending a request again, on another connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The server cannot have acted on it.
    Safe,
    /// The server may have acted on it: only if doing it twice is like doing it once.
    IfIdempotent,
    /// Not automatically.
    No,
}

/// A verdict with what is needed to act on it.
///
/// It is for one automatic retry, on a new connection (S5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Retry {
    /// The verdict.
    pub verdict: Verdict,
    /// Whether the method is idempotent, by RFC 9110 §9.2.2.
    pub idempotent: bool,
    row: Row,
}

impl Retry {
    /// Whether to retry by oneself, given whether the content can be sent again (or none of it was
    /// taken from its source).
    #[must_use]
    pub const fn allows(&self, replayable: bool) -> bool {
        replayable
            && match self.verdict {
                Verdict::Safe => true,
                Verdict::IfIdempotent => self.idempotent,
                Verdict::No => false,
            }
    }

    /// As [`allows`](Self::allows), for a request that its caller declares idempotent.
    #[must_use]
    pub const fn allows_idempotent(&self, replayable: bool) -> bool {
        replayable && !matches!(self.verdict, Verdict::No)
    }

    /// Why, in English.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        self.row.text().0
    }

    /// The section of the RFC behind it.
    #[must_use]
    pub const fn rfc(&self) -> &'static str {
        self.row.text().1
    }
}

/// What has come of the response to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    Nothing,
    /// Interim responses only.
    Interim,
    /// A part of a final response.
    Part,
    /// A whole final head with this status.
    Head(u16),
}

/// How the exchange ended, if it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Event {
    /// It did not.
    None,
    /// EOF, reset, a failed write, or a broken response.
    Closed,
    /// No response in time.
    Timeout,
    /// TLS alert or decryption failure.
    Tls,
}

/// What decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Facts {
    pub(crate) reused: bool,
    /// Octets of this request were transmitted.
    pub(crate) transmitted: bool,
    pub(crate) answer: Answer,
    pub(crate) event: Event,
    /// Pipelined behind a complete response with `close`.
    pub(crate) behind_close: bool,
    /// The request carried Expect: 100-continue.
    pub(crate) expected: bool,
    /// Settings: fresh connections count as reused; a server's `close` is doubted; other people's
    /// requests.
    pub(crate) retry_fresh: bool,
    pub(crate) doubt_close: bool,
    pub(crate) gateway: bool,
}

macro_rules! table {
    ($f:ident; $($row:ident $when:expr => $verdict:ident, $text:literal, $rfc:literal;)*
     _ $last:ident => $otherwise:ident, $last_text:literal, $last_rfc:literal;) => {
        /// The rows by name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        enum Row { $($row,)* $last }

        impl Row {
            const fn text(self) -> (&'static str, &'static str) {
                match self { $(Self::$row => ($text, $rfc),)* Self::$last => ($last_text, $last_rfc) }
            }
        }

        /// The first row that holds.
        fn decide($f: &Facts) -> (Row, Verdict) {
            $(if $when { return (Row::$row, Verdict::$verdict); })*
            (Row::$last, Verdict::$otherwise)
        }

        #[cfg(test)]
        #[allow(clippy::type_complexity)]
        const ROWS: &[(Row, fn(&Facts) -> bool)] =
            &[$((Row::$row, |$f| $when),)* (Row::$last, |_| true)];
    };
}

use Answer as A;

table! { f;
    Unsent !f.transmitted => Safe, "nothing of it was sent", "RFC 9110 §9.2.2";
    Interim f.answer == A::Interim && f.event != Event::None => No, "the server is processing it", "RFC 9110 §15.2";
    Timeout408 f.answer == A::Head(408) && f.reused => Safe, "the server timed out before it came", "RFC 9110 §15.5.9";
    Fresh408 f.answer == A::Head(408) => No, "the first request was timed out", "RFC 9110 §15.5.9";
    Unexpected f.answer == A::Head(417) && f.expected => Safe, "again, without Expect", "RFC 9110 §15.5.18";
    Policy matches!(f.answer, A::Head(421 | 425 | 429 | 503)) => No, "the caller's policy", "RFC 9110 §15.6.4";
    Answered matches!(f.answer, A::Part | A::Head(_)) => No, "it was answered, if only in part", "RFC 9110 §9.2.2";
    BehindClose f.behind_close && !f.doubt_close => Safe, "the server closed before it", "RFC 9112 §9.6";
    Timeout f.event == Event::Timeout => No, "the server took too long", "RFC 9110 §9.2.2";
    Tls f.event == Event::Tls => No, "TLS failed", "RFC 9112 §9.8";
    Reused f.reused && (f.event == Event::Closed || f.behind_close) => IfIdempotent, "an idle connection was closed as it was used", "RFC 9110 §9.2.2";
    Fresh f.retry_fresh && (f.event == Event::Closed || f.behind_close) => IfIdempotent, "set so for fresh connections", "RFC 9110 §9.2.2";
    _ Undecided => No, "it would fail again", "RFC 9110 §9.2.2";
}

/// S5, with S5.3 on top of it: at a proxy, safe with octets transmitted is "if idempotent", and what
/// is not idempotent by its method is not retried, since nobody there can declare that it is.
pub(crate) fn judge(facts: &Facts, idempotent: bool) -> Retry {
    let (row, verdict) = decide(facts);
    let verdict = match verdict {
        Verdict::Safe | Verdict::IfIdempotent if facts.gateway && facts.transmitted => {
            if idempotent { Verdict::IfIdempotent } else { Verdict::No }
        }
        other => other,
    };
    Retry { verdict, idempotent, row }
}

#[cfg(test)]
mod tables {
    use super::*;

    /// S5 read aloud, another way round.
    fn slowly(f: &Facts) -> Verdict {
        let base = if !f.transmitted {
            return Verdict::Safe;
        } else {
            match f.answer {
                A::Interim if f.event != Event::None => Verdict::No,
                A::Part => Verdict::No,
                A::Head(408) => {
                    if f.reused {
                        Verdict::Safe
                    } else {
                        Verdict::No
                    }
                }
                A::Head(417) => {
                    if f.expected {
                        Verdict::Safe
                    } else {
                        Verdict::No
                    }
                }
                A::Head(_) => Verdict::No,
                A::Nothing | A::Interim => {
                    let closed =
                        f.event == Event::Closed || (f.behind_close && f.event == Event::None);
                    if f.behind_close && !f.doubt_close {
                        Verdict::Safe
                    } else if closed && (f.reused || f.retry_fresh) {
                        Verdict::IfIdempotent
                    } else {
                        Verdict::No
                    }
                }
            }
        };
        match base {
            Verdict::Safe if f.gateway => Verdict::IfIdempotent,
            _ => base,
        }
    }

    /// Rows with the same verdict differ in what they say.
    #[test]
    fn the_reason_is_that_of_the_first_row_that_holds() {
        let base = Facts {
            reused: false,
            transmitted: true,
            answer: A::Nothing,
            event: Event::None,
            behind_close: false,
            expected: false,
            retry_fresh: false,
            doubt_close: false,
            gateway: false,
        };
        let said = |f: Facts| judge(&f, true).reason();
        let answered = |answer| said(Facts { answer, event: Event::Closed, ..base });
        assert_eq!(said(Facts { transmitted: false, ..base }), "nothing of it was sent");
        assert_eq!(answered(A::Interim), "the server is processing it");
        assert_eq!(answered(A::Head(408)), "the first request was timed out");
        assert_eq!(answered(A::Head(417)), "it was answered, if only in part");
        for status in [421, 425, 429, 503] {
            assert_eq!(answered(A::Head(status)), "the caller's policy");
        }
        assert_eq!(answered(A::Head(500)), "it was answered, if only in part");
        assert_eq!(answered(A::Part), "it was answered, if only in part");
        assert_eq!(answered(A::Nothing), "it would fail again");
        assert_eq!(said(Facts { event: Event::Timeout, ..base }), "the server took too long");
        assert_eq!(said(Facts { event: Event::Tls, ..base }), "TLS failed");
        let reused = Facts { reused: true, ..base };
        let timed_out = Facts { answer: A::Head(408), ..reused };
        assert_eq!(said(timed_out), "the server timed out before it came");
        let expected = Facts { answer: A::Head(417), expected: true, ..base };
        assert_eq!(said(expected), "again, without Expect");
        assert_eq!(said(Facts { behind_close: true, ..base }), "the server closed before it");
        let closed = Facts { event: Event::Closed, ..reused };
        assert_eq!(said(closed), "an idle connection was closed as it was used");
        let fresh = Facts { event: Event::Closed, retry_fresh: true, ..base };
        assert_eq!(said(fresh), "set so for fresh connections");
    }

    #[test]
    fn every_combination_is_decided_and_no_row_is_dead() {
        let mut used = vec![0; ROWS.len()];
        let answers = [
            A::Nothing,
            A::Interim,
            A::Part,
            A::Head(200),
            A::Head(408),
            A::Head(417),
            A::Head(503),
        ];
        let events = [Event::None, Event::Closed, Event::Timeout, Event::Tls];
        for bits in 0..128u32 {
            for answer in answers {
                for event in events {
                    let b = |n: u32| bits >> n & 1 != 0;
                    let f = Facts {
                        reused: b(0),
                        transmitted: b(1),
                        answer,
                        event,
                        behind_close: b(2),
                        expected: b(3),
                        retry_fresh: b(4),
                        doubt_close: b(5),
                        gateway: b(6),
                    };
                    let row = ROWS.iter().position(|r| r.1(&f)).unwrap();
                    used[row] += 1;
                    assert_eq!(ROWS[row].0, judge(&f, true).row);
                    assert_eq!(judge(&f, true).verdict, slowly(&f), "{f:?}");
                    let refused = f.gateway && f.transmitted;
                    let other = if refused { Verdict::No } else { slowly(&f) };
                    assert_eq!(judge(&f, false).verdict, other, "{f:?}");
                }
            }
        }
        assert!(used.iter().all(|&n| n > 0), "dead row: {used:?}");
    }
}
