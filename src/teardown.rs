//! Tear-down (S6): how a server ends a connection when its last response is out. Facts, one table.
//!
//! A close while the peer is still sending makes its kernel destroy what it has not yet read: so the
//! server closes its sending side, reads on for a while, and only then closes (RFC 9112 §9.6).

use crate::time::Span;

/// How it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TearDown {
    /// With a reset, at once.
    Abort,
    /// By closing, once all output is transmitted.
    Close,
    /// By half-closing and reading on.
    Linger(Linger),
}

/// How long the server reads on without receiving anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Linger {
    /// A connection that was idle: as long as a request that crossed the close needs.
    Brief,
    /// After an error.
    Short,
    /// After anything else.
    Full,
}

impl Linger {
    /// How long it is for a connection that was idle.
    pub(crate) const BRIEF: Span = Span::secs(1);
}

/// What decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Facts {
    pub(crate) aborted: bool,
    /// The peer closed its sending side.
    pub(crate) eof: bool,
    /// Nothing was ever received.
    pub(crate) unused: bool,
    /// The last request said close, was read whole, and nothing came behind it.
    pub(crate) agreed: bool,
    /// Closed while idle.
    pub(crate) idle: bool,
    /// Closed after an error response of the machine's own.
    pub(crate) refused: bool,
}

macro_rules! table {
    ($f:ident; $($label:literal $when:expr => $then:expr;)* _ $last:literal => $otherwise:expr;) => {
        /// The first row that holds decides.
        pub(crate) fn decide($f: &Facts) -> TearDown {
            $(if $when { return $then; })*
            $otherwise
        }

        #[cfg(test)]
        #[allow(clippy::type_complexity)]
        const ROWS: &[(&str, fn(&Facts) -> bool, TearDown)] =
            &[$(($label, |$f| $when, $then),)* ($last, |_| true, $otherwise)];
    };
}

table! { f;
    "S6.4 aborted" f.aborted => TearDown::Abort;
    "S6.2 EOF was seen" f.eof => TearDown::Close;
    "S3 never used" f.unused => TearDown::Close;
    "S3.2 idle" f.idle => TearDown::Linger(Linger::Brief);
    "S6.2 both agreed" f.agreed => TearDown::Close;
    "S6.1 after an error" f.refused => TearDown::Linger(Linger::Short);
    _ "S6.1 otherwise" => TearDown::Linger(Linger::Full);
}

#[cfg(test)]
mod tables {
    use super::*;

    /// S6 read aloud: who may still be sending, and for how long that matters.
    fn slowly(f: &Facts) -> TearDown {
        if f.aborted {
            return TearDown::Abort;
        }
        let nobody_sends = f.eof || f.unused || (f.agreed && !f.idle);
        match (nobody_sends, f.idle, f.refused) {
            (true, ..) => TearDown::Close,
            (false, true, _) => TearDown::Linger(Linger::Brief),
            (false, false, true) => TearDown::Linger(Linger::Short),
            (false, false, false) => TearDown::Linger(Linger::Full),
        }
    }

    #[test]
    fn every_combination_is_decided_and_no_row_is_dead() {
        let mut used = vec![0; ROWS.len()];
        for bits in 0..64u32 {
            let b = |n: u32| bits >> n & 1 != 0;
            let f = Facts {
                aborted: b(0),
                eof: b(1),
                unused: b(2),
                agreed: b(3),
                idle: b(4),
                refused: b(5),
            };
            let row = ROWS.iter().position(|r| r.1(&f)).unwrap();
            used[row] += 1;
            assert_eq!(decide(&f), ROWS[row].2);
            assert_eq!(decide(&f), slowly(&f), "{f:?} {}", ROWS[row].0);
        }
        assert!(used.iter().all(|&n| n > 0), "dead row: {used:?}");
    }
}
