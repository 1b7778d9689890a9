//! The server's timers (S3): from when they run, and what happens when they expire.

use super::{Connection, Rx, Tx, is};
use crate::deadline::{Deadline, Row, Timer, earliest};
use crate::error::Kind;
use crate::persistence::{self, CloseReason, SERVER_STICKY, ServerFacts};
use crate::teardown::{Linger, TearDown};
use crate::time::Instant;

impl Connection {
    /// What is due next.
    #[inline(always)]
    pub(super) fn next_deadline(&self) -> Option<Deadline> {
        let c = &self.config;
        if matches!(self.rx, Rx::Idle { .. })
            && self.flags & is::USED != 0
            && self.owed == 0
            && self.facts.only(SERVER_STICKY) == ServerFacts::none()
        {
            // A connection that waits for its next request, as nearly all do nearly always.
            let idle = Row { timer: Timer::Idle, runs: true, from: self.since, span: c.idle };
            let life =
                Row { timer: Timer::Lifetime, runs: true, from: self.born, span: c.lifetime };
            let soonest = earliest([idle, life]);
            debug_assert_eq!(soonest, self.any_deadline(), "a shortcut that leads astray");
            return soonest;
        }
        self.any_deadline()
    }

    /// What is due next, wherever the connection stands.
    #[inline(never)]
    fn any_deadline(&self) -> Option<Deadline> {
        if self.is_ended() {
            return None;
        }
        if matches!(self.rx, Rx::Tunnel) {
            return self.write_stall();
        }
        self.all_rows()
    }

    /// All timers, a row each.
    fn all_rows(&self) -> Option<Deadline> {
        let c = &self.config;
        let has = |bit| self.flags & bit != 0;
        let idle = matches!(self.rx, Rx::Idle { .. });
        let linger = matches!(self.rx, Rx::Linger { .. });
        let paused = has(is::PAUSED);
        let waits = paused || self.is_100_due();
        let wanted = match self.rx {
            Rx::Reading(body) => body.remaining() != Some(0),
            Rx::Discard(_) => true,
            _ => false,
        } && !waits;
        let receiving = matches!(self.rx, Rx::Head(_) | Rx::Reading(_) | Rx::Discard(_)) && !waits;
        let retiring = persistence::server(self.facts.only(SERVER_STICKY)).is_some();
        let draining = self.facts.has(ServerFacts::draining);
        let quiet = match self.teardown() {
            TearDown::Linger(Linger::Brief) => Linger::BRIEF,
            TearDown::Linger(Linger::Short) => c.linger_short(),
            _ => c.linger_quiet(),
        };
        let row = |timer, runs, from, span| Row { timer, runs, from, span };
        earliest([
            row(
                Timer::Head,
                (idle && !has(is::USED)) || (matches!(self.rx, Rx::Head(_)) && !paused),
                self.since,
                c.head,
            ),
            row(
                Timer::Idle,
                idle && has(is::USED) && self.owed == 0,
                self.since,
                if retiring { c.min_idle_span() } else { c.idle },
            ),
            row(Timer::ContentStall, wanted, self.since, c.content_stall),
            row(Timer::MinRate, wanted && c.min_rate > 0, self.rate, c.rate_grace()),
            row(Timer::RequestTotal, receiving, self.begun, c.request_total),
            row(Timer::WriteStall, self.owed > 0, self.moved, c.write_stall),
            row(
                Timer::Lifetime,
                !draining && !linger && !self.facts.has(ServerFacts::lifetime),
                self.born,
                c.lifetime,
            ),
            row(Timer::Linger, linger, self.since, quiet),
            row(Timer::Linger, linger, self.begun, c.linger_total()),
            row(Timer::HardStop, draining && !linger, self.born, c.hard_stop_span()),
        ])
    }

    /// Whether the connection has lived long enough (S1.3-10).
    pub(super) fn is_old(&self, now: Instant) -> bool {
        !self.facts.has(ServerFacts::draining)
            && self.config.lifetime.after(self.born).is_some_and(|at| now >= at)
    }

    /// Notes it, if it has.
    pub(super) fn grow_old(&mut self, now: Instant) {
        let old = self.is_old(now);
        self.facts.set(ServerFacts::lifetime, old);
    }

    fn write_stall(&self) -> Option<Deadline> {
        // With nothing owed, the tunnel is all there is.
        let (timer, span) = (Timer::WriteStall, self.config.write_stall);
        earliest([Row { timer, runs: true, from: self.moved, span }])
    }

    /// Handles every deadline that is due. Early, late or twice is harmless.
    pub fn expire(&mut self, now: Instant) {
        // Each expiry ends what armed it, so this ends; the bound only says so.
        for _ in 0..16 {
            match self.next_deadline() {
                Some(d) if d.at <= now => self.expired(now, d.timer),
                _ => return,
            }
        }
    }

    fn expired(&mut self, now: Instant, timer: Timer) {
        match timer {
            Timer::Head if matches!(self.rx, Rx::Idle { .. }) => {
                self.close_idle(CloseReason::Unused);
            }
            Timer::Head => self.timed_out(Kind::HeadTimeout, CloseReason::HeadTimeout),
            Timer::Idle => {
                let retired = persistence::server(self.facts.only(SERVER_STICKY));
                // S9.6: kept for nothing, at a 1.0 client's request. A sign that it never heard so.
                let f = self.facts;
                let unused = self.served == 1
                    && f.has(ServerFacts::http10)
                    && f.has(ServerFacts::keep_alive);
                let idle =
                    if unused { CloseReason::KeepAliveUnused } else { CloseReason::IdleTimeout };
                self.close_idle(retired.unwrap_or(idle));
            }
            Timer::ContentStall => self.content_late(now, Kind::ContentTimeout),
            Timer::MinRate => self.content_late(now, Kind::RateTimeout),
            Timer::RequestTotal if matches!(self.rx, Rx::Head(_)) => {
                self.timed_out(Kind::RequestTimeout, CloseReason::HeadTimeout);
            }
            Timer::RequestTotal => self.content_late(now, Kind::RequestTimeout),
            Timer::WriteStall => self.give_up(CloseReason::WriteTimeout, Some(Kind::WriteTimeout)),
            Timer::Lifetime => {
                self.facts.set(ServerFacts::lifetime, true);
                self.retire_idle(now);
            }
            Timer::HardStop => self.give_up(CloseReason::HardStop, Some(Kind::RequestTimeout)),
            Timer::Linger => self.enter(Rx::Over),
            Timer::ContinueWait | Timer::HeadWait | Timer::Discard => {}
        }
    }

    /// The request did not come in time. S3.1: 408 only where no earlier response is in flight.
    fn timed_out(&mut self, kind: Kind, reason: CloseReason) {
        self.failed = Some(kind);
        let silent = self.owed > 0;
        self.refuse(kind, reason);
        if silent && matches!(self.tx, Tx::Own(_)) {
            self.tx = Tx::Done;
        }
    }

    /// Content did not come in time: 408 where no response has begun; else the response is
    /// finished, and then the connection closes, with a half-close and no abort.
    fn content_late(&mut self, now: Instant, kind: Kind) {
        if matches!(self.rx, Rx::Reading(_)) {
            self.timed_out(kind, CloseReason::ContentTimeout);
        } else {
            // Nobody wants the content: nobody is told.
            self.decide(CloseReason::ContentTimeout);
            self.enter(Rx::Sink { octets: 0 });
        }
        self.touch(now);
    }
}
