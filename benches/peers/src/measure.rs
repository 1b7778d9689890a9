//! Measures sides against each other: batches take turns, and each side's best one counts.
//!
//! Noise only ever adds time, so the minimum of many short batches is what the code costs when it is
//! left alone; and since the sides take turns, a slow moment of the machine hits all of them.

use std::time::{Duration, Instant};

/// One of those that do the same work.
pub struct Side {
    pub name: &'static str,
    /// What one turn is divided by: messages, octets, chunks.
    units: f64,
    turn: Box<dyn FnMut(u32)>,
    turns: u32,
    /// The best so far, in nanoseconds a unit.
    pub best: f64,
}

/// Work on one input, and the sides that do it.
pub struct Group {
    pub what: &'static str,
    pub input: &'static str,
    pub sides: Vec<Side>,
}

/// How long a batch is to take: far less than a time slice, far more than reading the clock.
const BATCH: Duration = Duration::from_micros(60);

impl Group {
    pub fn new(what: &'static str, input: &'static str) -> Self {
        Self { what, input, sides: Vec::new() }
    }

    /// `turn` does the work so many times; each time is `units` units of it.
    pub fn side(
        mut self,
        name: &'static str,
        units: usize,
        turn: impl FnMut(u32) + 'static,
    ) -> Self {
        let turn = Box::new(turn);
        self.sides.push(Side { name, units: units as f64, turn, turns: 0, best: f64::INFINITY });
        self
    }

    /// One pass of batches in turns, for about so long.
    pub fn pass(&mut self, budget: Duration) {
        let begin = Instant::now();
        for side in &mut self.sides {
            side.calibrate();
        }
        loop {
            for side in &mut self.sides {
                side.batch();
            }
            if begin.elapsed() > budget {
                return;
            }
        }
    }

    pub fn best(&self, side: &str) -> Option<f64> {
        self.sides.iter().find(|s| s.name == side).map(|s| s.best)
    }
}

impl Side {
    /// Finds how many turns make a batch.
    fn calibrate(&mut self) {
        self.turns = self.turns.max(1);
        loop {
            let begin = Instant::now();
            (self.turn)(self.turns);
            if begin.elapsed() >= BATCH || self.turns >= 1 << 24 {
                return;
            }
            self.turns *= 2;
        }
    }

    fn batch(&mut self) {
        let begin = Instant::now();
        (self.turn)(self.turns);
        let nanos = begin.elapsed().as_nanos() as f64;
        self.best = self.best.min(nanos / f64::from(self.turns) / self.units);
    }
}
