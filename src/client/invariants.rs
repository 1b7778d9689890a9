//! What always holds of a client's connection, as assertions for tests and fuzzing. The list in prose, with
//! what holds of the calls and not of the value, is in `docs/08-testing.md`.

use super::{Connection, Rx, STICKY, Tx, is};
use crate::limits;
use crate::persistence::CloseReason;

impl Connection {
    /// Panics if the value contradicts itself. For tests and fuzzing.
    #[allow(clippy::missing_panics_doc, reason = "panicking is what it is for")]
    pub fn check_invariants(&self) {
        assert!(self.queue.len() <= limits::PIPELINE);
        if matches!(self.rx, Rx::Idle) {
            assert!(self.queue.len() == 0 && self.aborted.is_none(), "idle, but busy: {self:?}");
        }
        if matches!(self.rx, Rx::Await | Rx::Head(_) | Rx::Reading(_)) {
            assert!(self.queue.len() > 0, "answered, but reading: {self:?}");
        }
        if matches!(self.rx, Rx::Idle | Rx::Await | Rx::Head(_) | Rx::Reading(_)) {
            assert!(self.failed.is_none(), "failed, but reading: {self:?}");
            assert!(self.verdict.is_none(), "closing, but reading: {self:?}");
        }
        if self.aborted.is_some() {
            assert!(self.verdict.is_some() && self.end().is_some());
        }
        assert!(!matches!(self.tx, Tx::Sending(o) if o.is_done()), "done, but sending: {self:?}");
        let w = self.wants();
        let acts = w.end.is_some() || self.needs_receive();
        assert!(
            acts || w.content || w.read || w.head || self.owed > 0,
            "nothing can move it on: {self:?}"
        );
        // Where the peer is to act, what the application sends as well does not bound the time.
        let peer = matches!(self.rx, Rx::Reading(_) | Rx::Discard { .. });
        let paused =
            self.flags & is::PAUSED != 0 && matches!(self.rx, Rx::Head(_) | Rx::Reading(_));
        assert!(
            acts || w.content && !peer
                || paused
                || self.next_deadline().is_some()
                || self.waits_for_ever(),
            "live without deadline or action: {self:?}"
        );
    }

    /// Panics if the value cannot have come of `before` by any calls. For tests and fuzzing.
    #[allow(clippy::missing_panics_doc, reason = "panicking is what it is for")]
    pub fn check_follows(&self, before: &Self) {
        assert_eq!(
            (&self.config, self.born),
            (&before.config, before.born),
            "of another connection"
        );
        assert!(self.consumed >= before.consumed, "octets came back: {self:?} {before:?}");
        assert!(
            self.since >= before.since && self.moved >= before.moved,
            "time runs back: {self:?} {before:?}"
        );
        let stay =
            is::EOF | is::TRUNCATED | is::USED | is::PROVEN | is::BEHIND_CLOSE | is::WRITE_LOST;
        assert!(before.flags & stay & !self.flags == 0, "forgotten: {self:?} {before:?}");
        let sticky = before.facts.only(STICKY);
        assert!(self.facts.only(sticky) == sticky, "a fact was forgotten: {self:?} {before:?}");
        let refined = (Some(CloseReason::Surplus), Some(CloseReason::Idle408));
        if before.verdict.is_some() && (before.verdict, self.verdict) != refined {
            assert_eq!(self.verdict, before.verdict, "the verdict changed: {self:?}");
        }
        if before.aborted.is_some() {
            assert_eq!(self.aborted, before.aborted, "the reason of an abort changed: {self:?}");
        }
        assert!(before.fate.is_none() || self.fate.is_some(), "a failure was forgotten: {self:?}");
        let told = before.fate.is_some() && before.failed.is_none();
        assert!(!told || self.failed.is_none(), "a failure after the failure: {self:?}");
        if before.verdict.is_some() {
            let fewer = self.queue.len() <= before.queue.len();
            assert!(fewer && !self.wants().head, "used after a close: {self:?} {before:?}");
            let begins = matches!((before.tx, self.tx), (Tx::Quiet | Tx::Stopped, Tx::Sending(_)));
            assert!(!begins, "sent after a close: {self:?} {before:?}");
        }
        if before.is_ended() && before.verdict != refined.0 {
            assert_eq!(self.end(), before.end(), "the end is final: {before:?}");
        }
    }

    /// Whether the next call of `receive` has something to tell without any bytes.
    fn needs_receive(&self) -> bool {
        self.failed.is_some()
            || matches!(self.rx, Rx::Reading(body) if body.remaining() == Some(0))
            || self.flags & is::EOF != 0
    }

    /// Whether all timers that would end this state are switched off.
    fn waits_for_ever(&self) -> bool {
        let c = &self.config;
        let state = match self.rx {
            _ if self.owed > 0 && self.flags & is::WRITE_LOST == 0 => c.write_stall,
            Rx::Idle => self.idle_span(),
            Rx::Await | Rx::Head(_) => c.head_wait,
            Rx::Reading(_) => c.content_stall,
            Rx::Discard { .. } | Rx::Surplus | Rx::Sink | Rx::Tunnel | Rx::Over => return false,
        };
        state.is_off()
    }
}
