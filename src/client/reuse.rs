//! Whether a connection can take a request (S2.3), and for how long it is kept.

use super::{Connection, IMMEDIATE, Reuse, Rx, Tx, is};
use crate::persistence::{self, CloseReason};
use crate::time::{Instant, Span};

impl Connection {
    /// The state, if it is [`Reuse::Ready`] or [`Reuse::ImmediateOnly`]: as nearly always.
    #[inline(always)]
    pub(super) fn readiness(&self, now: Instant) -> Option<Reuse> {
        let until = self.idle_span().after(self.since);
        let ready = self.aborted.or(self.verdict).is_none()
            && self.is_between()
            && self.owed == 0
            && self.flags & is::EOF == 0
            && self.facts.decide_nothing()
            && until.is_none_or(|at| now < at);
        if !ready {
            return None;
        }
        let reuse = match self.usable.as_millis() {
            0 => Reuse::ImmediateOnly,
            _ => Reuse::Ready { until, left: self.left() },
        };
        debug_assert_eq!(reuse, self.any_state(now));
        Some(reuse)
    }

    #[inline]
    pub(super) fn state(&self, now: Instant) -> Reuse {
        self.readiness(now).unwrap_or_else(|| self.any_state(now))
    }

    /// The exact way.
    #[inline(never)]
    fn any_state(&self, now: Instant) -> Reuse {
        if let Some(reason) = self.aborted.or(self.verdict) {
            return Reuse::No(reason);
        }
        if !matches!(self.rx, Rx::Idle) {
            return Reuse::Busy;
        }
        if let Some(reason) = persistence::client(self.facts) {
            return Reuse::No(reason);
        }
        if self.tx != Tx::Quiet || self.owed > 0 {
            return Reuse::Busy;
        }
        if self.flags & is::EOF != 0 {
            return Reuse::No(CloseReason::PeerClosed);
        }
        let until = self.idle_span().after(self.since);
        match until {
            Some(at) if now >= at => Reuse::No(self.idle_reason()),
            _ if self.usable.as_millis() == 0 => Reuse::ImmediateOnly,
            _ => Reuse::Ready { until, left: self.left() },
        }
    }

    /// How long the connection is kept idle.
    #[inline(always)]
    pub(super) fn idle_span(&self) -> Span {
        self.usable.max(IMMEDIATE)
    }

    /// Why it is not kept any longer.
    pub(super) fn idle_reason(&self) -> CloseReason {
        match self.usable.as_millis() {
            0 => CloseReason::ImmediateOnly,
            _ => CloseReason::IdleTimeout,
        }
    }
}
