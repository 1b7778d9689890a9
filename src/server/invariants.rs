//! What always holds of a server's connection, as assertions for tests and fuzzing. The list in prose, with
//! what holds of the calls and not of the value, is in `docs/08-testing.md`.

use super::{Connection, Rx, Tx, is};
use crate::limits;
use crate::persistence::{self, SERVER_STICKY};

impl Connection {
    /// Panics if the value contradicts itself. For tests and fuzzing.
    #[allow(clippy::missing_panics_doc, reason = "panicking is what it is for")]
    pub fn check_invariants(&self) {
        self.check_progress();
        assert!(!matches!(self.tx, Tx::Sending(o) if o.is_done()), "done, but sending: {self:?}");
        let closing = matches!(self.rx, Rx::Sink { .. } | Rx::Linger { .. } | Rx::Over);
        assert!(!closing || !self.persistence().persists(), "no reason: {self:?}");
        if let Rx::Idle { blank } = self.rx {
            assert!(self.tx == Tx::Quiet && self.verdict.is_none(), "idle, but busy: {self:?}");
            assert!(blank <= limits::BLANK_LINES);
        }
        if self.tx == Tx::Quiet {
            assert!(!matches!(self.rx, Rx::Held(_) | Rx::Reading(_) | Rx::Whole), "{self:?}");
        }
        if matches!(self.rx, Rx::Idle { .. } | Rx::Head(_) | Rx::Held(_) | Rx::Reading(_)) {
            assert!(self.failed.is_none(), "failed, but reading: {self:?}");
        }
        if self.config.max_requests > 0 {
            assert!(self.served <= self.config.max_requests, "too many served: {self:?}");
        }
        if self.flags & is::SHUT != 0 {
            assert!(matches!(self.rx, Rx::Linger { .. } | Rx::Over), "shut, but not lingering");
        }
        if self.aborted.is_some() {
            assert!(self.verdict.is_some() && self.is_ended() && self.owed == 0, "{self:?}");
        }
    }

    /// Every live state has a deadline or a pending action.
    fn check_progress(&self) {
        let w = self.wants();
        let app = w.head || w.content;
        let acts = w.emit || w.end.is_some() || self.needs_receive();
        assert!(acts || app || w.read || self.owed > 0, "nothing can move it on: {self:?}");
        // Where the peer is to act, what the application owes as well does not bound the time.
        let peer = w.read
            && matches!(
                self.rx,
                Rx::Idle { .. } | Rx::Head(_) | Rx::Reading(_) | Rx::Discard(_) | Rx::Linger { .. }
            );
        let paused =
            self.flags & is::PAUSED != 0 && matches!(self.rx, Rx::Head(_) | Rx::Reading(_));
        assert!(
            acts || app && !peer
                || paused
                || self.next_deadline().is_some()
                || self.waits_for_ever(),
            "live without deadline or action: {self:?}"
        );
    }

    /// Panics if the value cannot have come of `before` by any calls. For tests and fuzzing.
    #[allow(clippy::missing_panics_doc, reason = "panicking is what it is for")]
    pub fn check_follows(&self, before: &Self) {
        assert_eq!(self.config, before.config, "of another connection");
        assert!(self.consumed >= before.consumed, "octets came back: {self:?} {before:?}");
        assert!(self.served >= before.served, "requests came back: {self:?} {before:?}");
        assert!(
            self.born >= before.born
                && self.since >= before.since
                && self.begun >= before.begun
                && self.rate >= before.rate
                && self.moved >= before.moved,
            "time runs back: {self:?} {before:?}"
        );
        let stay = !(is::OF_REQUEST | is::PAUSED);
        assert!(before.flags & stay & !self.flags == 0, "forgotten: {self:?} {before:?}");
        let sticky = before.facts.only(SERVER_STICKY);
        assert!(self.facts.only(sticky) == sticky, "a fact was forgotten: {self:?} {before:?}");
        if before.verdict.is_some() {
            assert_eq!(self.verdict, before.verdict, "the verdict changed: {before:?}");
            assert_eq!(self.served, before.served, "a request after the verdict: {before:?}");
        }
        if before.aborted.is_some() {
            assert_eq!(self.aborted, before.aborted, "the reason of an abort changed: {before:?}");
        }
        let back = match before.rx {
            Rx::Sink { .. } => !matches!(self.rx, Rx::Sink { .. } | Rx::Linger { .. } | Rx::Over),
            Rx::Linger { .. } => !matches!(self.rx, Rx::Linger { .. } | Rx::Over),
            Rx::Tunnel => !matches!(self.rx, Rx::Tunnel | Rx::Over),
            Rx::Over => self.rx != Rx::Over,
            _ => false,
        };
        assert!(!back, "used after a close: {self:?} {before:?}");
    }

    /// Whether the next call of `receive` has something to tell without any bytes.
    fn needs_receive(&self) -> bool {
        self.failed.is_some()
            || matches!(self.rx, Rx::Reading(body) if body.remaining() == Some(0))
            || self.flags & is::EOF != 0
            || self.tx == Tx::Tunnel
    }

    /// Whether all timers that would end this state are switched off.
    fn waits_for_ever(&self) -> bool {
        let c = &self.config;
        let idle = match persistence::server(self.facts.only(SERVER_STICKY)) {
            None => c.idle,
            Some(_) => c.min_idle_span(),
        };
        let state = match self.rx {
            Rx::Idle { .. } if self.owed > 0 => None,
            Rx::Idle { .. } if self.flags & is::USED == 0 => Some(c.head),
            Rx::Idle { .. } => Some(idle),
            Rx::Head(_) => Some(c.head),
            Rx::Reading(_) | Rx::Discard(_) => Some(c.content_stall),
            Rx::Linger { .. } => Some(c.linger_quiet()),
            Rx::Held(_) | Rx::Whole | Rx::Sink { .. } | Rx::Tunnel | Rx::Over => None,
        };
        let write = (self.owed > 0).then_some(c.write_stall);
        let runs = state.is_some() || write.is_some();
        runs && [state, write].into_iter().flatten().all(|span| span.is_off())
    }
}
