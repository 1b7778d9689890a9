//! A million idle connections in a slab, their deadlines in a timer wheel that the embedder keeps.
//!
//! The wheel is told a deadline once. When it fires, the connection is asked again: a deadline that
//! moved on is put back, one that is due expires. So requests in between cost the wheel nothing.

use super::{Goal, Row};
use crate::alloc::count;
use crate::inputs;
use crate::sides::ours;
use hierarchical_hash_wheel_timer::wheels::quad_wheel::{QuadWheelWithOverflow, no_prune};
use keepalive::{Instant, server};
use std::cell::OnceCell;
use std::rc::Rc;
use std::time::Duration;

const MANY: usize = 1_000_000;
const FEW: usize = 1_000;

/// Memory of it all, in octets; and what a tick with a million idle connections may cost against one
/// with a thousand: the same, but for caches.
const MEMORY: f64 = 200e6;
const TICK: f64 = 1.5;

/// Milliseconds between ticks.
const TICK_MS: u64 = 10;
/// Connections that are due at each tick, and ticks until they are due again.
const DUE: usize = 8;
const ROUND: usize = 500;

/// Connections and when to look at them.
struct Slab {
    connections: Vec<server::Connection>,
    wheel: QuadWheelWithOverflow<u32>,
    ticks: u64,
    fresh: server::Connection,
}

/// Idle since now, with this much time left.
fn idle(after: Duration) -> server::Connection {
    let config = server::Config::origin().idle(after);
    let mut server = ours::Server::new();
    server.conn = server::Connection::new(&config, Instant::from_micros(0));
    server.serve(inputs::TE);
    server.conn
}

fn ticks_to(at: Instant, ticks: u64) -> Duration {
    Duration::from_millis((at.as_micros() / 1000).div_ceil(TICK_MS).saturating_sub(ticks).max(1))
}

impl Slab {
    /// So many connections that are due in 60 s and later, and those that are due soon.
    fn new(idle_ones: usize) -> Self {
        let soon = DUE * ROUND;
        let mut connections = Vec::with_capacity(idle_ones + soon);
        let mut wheel = QuadWheelWithOverflow::new(no_prune);
        for i in 0..idle_ones + soon {
            let millis = match i.checked_sub(soon) {
                None => (1 + i / DUE) as u64 * TICK_MS,
                Some(n) => 60_000 + n as u64 * 15_000 / idle_ones as u64,
            };
            connections.push(idle(Duration::from_millis(millis)));
            let at = connections[i].deadline().expect("a deadline").at;
            wheel.insert_with_delay(i as u32, ticks_to(at, 0)).expect("a later time");
        }
        let fresh = idle(Duration::from_millis(ROUND as u64 * TICK_MS));
        Self { connections, wheel, ticks: 0, fresh }
    }

    /// Looks at what is due. Who closes makes room for another, which is idle in turn.
    fn tick(&mut self) -> usize {
        self.ticks += 1;
        let now = Instant::from_millis(self.ticks * TICK_MS);
        let mut expired = 0;
        for i in self.wheel.tick() {
            let connection = &mut self.connections[i as usize];
            match connection.deadline() {
                Some(deadline) if deadline.at > now => {
                    let again = self.wheel.insert_with_delay(i, ticks_to(deadline.at, self.ticks));
                    again.expect("a later time");
                }
                _ => {
                    connection.expire(now);
                    expired += usize::from(connection.wants().end.is_some());
                    *connection = self.fresh.clone();
                    let again = Duration::from_millis(ROUND as u64);
                    self.wheel.insert_with_delay(i, again).expect("a later time");
                }
            }
        }
        expired
    }

    /// The cost of a tick: the best of several rounds, each of which sees all that are due soon.
    fn tick_ns(&mut self) -> f64 {
        let mut best = f64::INFINITY;
        let mut expired = 0;
        for _ in 0..10 {
            let begin = std::time::Instant::now();
            for _ in 0..ROUND {
                expired += self.tick();
            }
            best = best.min(begin.elapsed().as_nanos() as f64 / ROUND as f64);
        }
        assert_eq!(expired, 10 * DUE * ROUND, "due, and closed");
        best
    }

    /// The cost of one of the many, once they all fall due within 15 s: the wheel's moving it from
    /// level to level is in it.
    fn due_ns(&mut self) -> f64 {
        let begin = std::time::Instant::now();
        let mut expired = 0;
        while self.ticks < 75_000 / TICK_MS {
            expired += self.tick();
        }
        let nanos = begin.elapsed().as_nanos() as f64;
        assert!(expired >= MANY, "not all were due: {expired}");
        nanos / expired as f64
    }

    /// Asking every connection, as one would without a wheel.
    fn sweep_ns(&self) -> f64 {
        let mut best = f64::INFINITY;
        for _ in 0..5 {
            let begin = std::time::Instant::now();
            let earliest = self.connections.iter().filter_map(|c| c.deadline()).map(|d| d.at).min();
            std::hint::black_box(earliest);
            best = best.min(begin.elapsed().as_nanos() as f64);
        }
        best / self.connections.len() as f64
    }
}

#[derive(Clone, Copy)]
struct Figures {
    octets: f64,
    tick_many: f64,
    tick_few: f64,
    sweep: f64,
    due: f64,
}

fn figures() -> Figures {
    let mut few = Slab::new(FEW);
    let (mut many, counted) = count(|| Slab::new(MANY));
    let mut figures = Figures {
        octets: counted.live as f64,
        tick_many: f64::INFINITY,
        tick_few: f64::INFINITY,
        sweep: many.sweep_ns(),
        due: f64::INFINITY,
    };
    // Together no more than the 60 s after which the idle ones are due, too.
    figures.tick_few = few.tick_ns();
    figures.tick_many = many.tick_ns();
    figures.due = many.due_ns();
    figures
}

pub fn add(rows: &mut Vec<Row>) {
    let cell: Rc<OnceCell<Figures>> = Rc::new(OnceCell::new());
    let mut row = |what, peer, unit, goal, pick: fn(&Figures) -> super::Measured| {
        let cell = cell.clone();
        let value = move |_: &_| pick(cell.get_or_init(figures));
        rows.push(Row::value(what, "1M idle", peer, unit, goal, value));
    };
    row("connections and wheel", "", "MB", Goal::Most(MEMORY / 1e6), |f| {
        (Some(f.octets / 1e6), None)
    });
    row("a tick, 8 due", "with 1000 idle", "ns", Goal::Ratio(TICK), |f| {
        (Some(f.tick_many), Some(f.tick_few))
    });
    row("all of them due, within 15 s", "", "ns/conn", Goal::None, |f| (Some(f.due), None));
    row("a sweep without a wheel", "", "ns/conn", Goal::None, |f| (Some(f.sweep), None));
}
