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
    best: f64,
}

/// Work on one input, and the sides that do it.
pub struct Group {
    pub what: &'static str,
    pub input: &'static str,
    pub sides: Vec<Side>,
}

/// How long a batch is to take: far less than a time slice, far more than reading the clock.
const BATCH: Duration = Duration::from_micros(50);

impl Group {
    pub fn new(what: &'static str, input: &'static str) -> Self {
        Self { what, input, sides: Vec::new() }
    }

    /// Adds a side. `turn` does the work so many times, and each time is `units` units of it.
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

    /// Adds a side that goes through all messages under a name.
    pub fn over(
        self,
        name: &'static str,
        messages: &'static [Vec<u8>],
        mut each: impl FnMut(&'static [u8]) + 'static,
    ) -> Self {
        self.side(name, messages.len(), move |turns| {
            for _ in 0..turns {
                for message in messages {
                    each(std::hint::black_box(message));
                }
            }
        })
    }

    /// One pass of batches in turns, for about so long.
    pub fn pass(&mut self, budget: Duration) {
        for side in &mut self.sides {
            side.calibrate();
        }
        let begin = Instant::now();
        while begin.elapsed() < budget {
            for side in &mut self.sides {
                side.batch();
            }
        }
    }
}

impl Side {
    /// Finds, once, how many turns make a batch.
    fn calibrate(&mut self) {
        if self.turns > 0 {
            return;
        }
        self.turns = 1;
        loop {
            let begin = Instant::now();
            (self.turn)(self.turns);
            if begin.elapsed() >= BATCH || self.turns >= 1 << 20 {
                return;
            }
            self.turns *= 2;
        }
    }

    /// One batch, behind a turn that is not counted: what the sides before it left in caches and branch
    /// predictors is not its fault.
    fn batch(&mut self) {
        (self.turn)(1);
        let begin = Instant::now();
        (self.turn)(self.turns);
        let nanos = begin.elapsed().as_nanos() as f64;
        self.best = self.best.min(nanos / f64::from(self.turns) / self.units);
    }
}

/// All that is measured.
#[derive(Default)]
pub struct Groups(pub Vec<Group>);

impl Groups {
    pub fn add(&mut self, group: Group) {
        self.0.push(group);
    }

    /// The best of a side so far, in nanoseconds a unit.
    pub fn ns(&self, what: &str, input: &str, side: &str) -> Option<f64> {
        let group = self.0.iter().find(|g| g.what == what && g.input == input)?;
        let best = group.sides.iter().find(|s| s.name == side)?.best;
        best.is_finite().then_some(best)
    }

    /// Passes over everything, several times: a slow minute of the machine spoils one pass, not one
    /// row.
    pub fn run(&mut self, passes: u32, budget_a_side: Duration) {
        for _ in 0..passes {
            for group in &mut self.0 {
                group.pass(budget_a_side * group.sides.len() as u32);
            }
        }
    }
}
