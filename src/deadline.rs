//! Deadlines (S3): the timers by name, and how the earliest is found.
//!
//! A connection arms nothing. It keeps the moments at which things began, and each timer is one row
//! that says from what moment it runs, if it runs at all. [`earliest`] picks among the rows; so no
//! timer can be left armed by mistake.

use crate::time::{Instant, Span};

/// Which timer a deadline belongs to: the `S.*` and `C.*` of S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Timer {
    /// The request head is to be complete (server).
    Head,
    /// The next request is to begin, or to be made.
    Idle,
    /// The next octets of content are to arrive.
    ContentStall,
    /// Content is to arrive at a minimum rate (server).
    MinRate,
    /// The request is to be complete (server).
    RequestTotal,
    /// The peer is to take the next octets of output.
    WriteStall,
    /// The connection has lived long enough.
    Lifetime,
    /// The peer is to close, after our half-close (server).
    Linger,
    /// Draining is to be over (server).
    HardStop,
    /// The 100 is to arrive before the content is sent without it (client).
    ContinueWait,
    /// The response head is to arrive (client).
    HeadWait,
    /// Content that nobody wants is to be over (client).
    Discard,
}

impl Timer {
    /// The name as in the rules, without the role.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Idle => "idle",
            Self::ContentStall => "content_stall",
            Self::MinRate => "min_rate",
            Self::RequestTotal => "request_total",
            Self::WriteStall => "write_stall",
            Self::Lifetime => "lifetime",
            Self::Linger => "linger",
            Self::HardStop => "hard_stop",
            Self::ContinueWait => "continue_wait",
            Self::HeadWait => "head_wait",
            Self::Discard => "discard",
        }
    }
}

/// A moment at which `expire` is to be called, and the timer behind it.
///
/// Calling `expire` early, late or twice is harmless. A deadline that moved to a later moment needs
/// no re-arming: fire at the old one, call `expire`, and ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline {
    /// When.
    pub at: Instant,
    /// For what.
    pub timer: Timer,
}

/// A row: a timer, whether it runs, from when, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) timer: Timer,
    pub(crate) runs: bool,
    pub(crate) from: Instant,
    pub(crate) span: Span,
}

/// The earliest deadline among the rows; of equal ones the first.
#[inline(always)]
pub(crate) fn earliest<const N: usize>(rows: [Row; N]) -> Option<Deadline> {
    let mut best: Option<Deadline> = None;
    for row in rows {
        if row.runs
            && let Some(at) = row.span.after(row.from)
            && best.is_none_or(|b| at < b.at)
        {
            best = Some(Deadline { at, timer: row.timer });
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_that_runs_is_found_and_of_equal_ones_the_first() {
        let row = |timer, runs, from, span| Row {
            timer,
            runs,
            from: Instant::from_millis(from),
            span: Span::millis(span),
        };
        let at = |timer, ms| Some(Deadline { at: Instant::from_millis(ms), timer });
        let [head, idle] = [Timer::Head, Timer::Idle];
        assert_eq!(earliest([]), None);
        assert_eq!(earliest([row(head, false, 0, 1)]), None);
        let off = Row { span: Span::OFF, ..row(head, true, 0, 1) };
        assert_eq!(earliest([off]), None);
        assert_eq!(earliest([row(head, true, 0, 9), row(idle, true, 3, 5)]), at(idle, 8));
        assert_eq!(earliest([row(idle, true, 3, 5), row(head, true, 0, 9)]), at(idle, 8));
        assert_eq!(earliest([row(head, true, 3, 5), row(idle, true, 0, 8)]), at(head, 8));
        assert_eq!(earliest([row(idle, true, 0, 8), row(head, true, 3, 5)]), at(idle, 8));
        assert_eq!(earliest([row(head, false, 0, 1), row(idle, true, 0, 8)]), at(idle, 8));
    }
}
