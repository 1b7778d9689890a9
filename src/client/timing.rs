//! The client's timers (S3): from when they run, and what happens when they expire.

use super::{Connection, Rx, Tx, is};
use crate::deadline::{Deadline, Row, Timer, earliest};
use crate::error::Kind;
use crate::persistence::{ClientFacts, CloseReason};
use crate::time::Instant;

impl Connection {
    /// All timers, a row each.
    #[inline(always)]
    pub(super) fn next_deadline(&self) -> Option<Deadline> {
        if self.aborted.is_some() || matches!(self.rx, Rx::Over | Rx::Sink | Rx::Surplus) {
            return None;
        }
        let c = &self.config;
        // What a failed write left will never go out.
        let flushed = self.owed == 0 || self.flags & is::WRITE_LOST != 0;
        let paused = self.flags & is::PAUSED != 0;
        let idle = self.is_between() && flushed;
        let waiting = matches!(self.rx, Rx::Await | Rx::Head(_)) && !paused;
        let sent = matches!(self.tx, Tx::Quiet | Tx::Stopped);
        let reading = match self.rx {
            Rx::Reading(body) => body.remaining() != Some(0),
            _ => false,
        };
        let row = |timer, runs, from, span| Row { timer, runs, from, span };
        earliest([
            row(
                Timer::ContinueWait,
                self.flags & is::WAITING != 0 && matches!(self.tx, Tx::Sending(_)) && flushed,
                self.moved,
                c.continue_span(),
            ),
            row(Timer::HeadWait, waiting && sent && flushed, self.since, c.head_wait),
            row(Timer::ContentStall, reading && !paused, self.since, c.content_stall),
            row(
                Timer::Discard,
                matches!(self.rx, Rx::Discard { .. }),
                self.since,
                c.discard_span(),
            ),
            row(Timer::WriteStall, !flushed, self.moved, c.write_stall),
            row(Timer::Idle, idle, self.since, self.idle_span()),
            row(
                Timer::Lifetime,
                !matches!(self.rx, Rx::Tunnel) && !self.facts.has(ClientFacts::lifetime),
                self.born,
                c.lifetime,
            ),
        ])
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
            Timer::ContinueWait => self.flags &= !is::WAITING,
            Timer::HeadWait => self.give_up(CloseReason::ResponseTimeout, Kind::ResponseTimeout),
            Timer::ContentStall => self.give_up(CloseReason::ContentTimeout, Kind::ContentTimeout),
            Timer::WriteStall => self.give_up(CloseReason::WriteTimeout, Kind::WriteTimeout),
            Timer::Discard => {
                self.facts.set(ClientFacts::discard, true);
                self.finish_exchange(now);
            }
            Timer::Idle => {
                self.decide(self.idle_reason());
                self.enter(Rx::Sink);
            }
            Timer::Lifetime => {
                self.facts.set(ClientFacts::lifetime, true);
                self.settle();
            }
            _ => {}
        }
    }
}
