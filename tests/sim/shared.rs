//! What all ends of a world share: the jobs, what became of them, and the checkers' memory.

use super::plan::{Job, Weather};
use super::rng::Rng;
use keepalive::{CloseReason, Kind, Line, Retry, Verdict};
use std::collections::{BTreeMap, VecDeque};

/// What became of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The response came, whole and right.
    Done,
    /// As much of it as the client wanted.
    Skipped,
    /// The client gave up.
    Cancelled,
    /// A response of some machine's came in its place.
    Refused(u16),
    /// A close-delimited response ended where the network ended it.
    Clipped,
    /// It failed, and was not to be tried again.
    Failed(Kind),
    /// Another request on the connection was given up, and it with it.
    Collateral,
}

#[derive(Clone, Debug, Default)]
pub struct Attempt {
    /// The application received it whole, or began to answer it.
    pub executed: u32,
    pub verdict: Option<Retry>,
}

#[derive(Clone, Debug, Default)]
pub struct Record {
    pub attempts: Vec<Attempt>,
    pub outcome: Option<Outcome>,
}

/// A job that waits to be made, or made again.
#[derive(Clone, Copy, Debug)]
pub struct Try {
    pub id: u32,
    pub start: u64,
    pub again: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Stats {
    pub exchanges: u64,
    pub steps: u64,
    pub connections: u64,
    pub retries: u64,
    pub events: u64,
    /// What does not happen in each world.
    pub rare: BTreeMap<&'static str, u64>,
    pub outcomes: BTreeMap<String, u64>,
    pub reasons: BTreeMap<(&'static str, CloseReasonName), u64>,
}

pub type CloseReasonName = &'static str;

impl Stats {
    pub fn note(&mut self, what: &'static str) {
        *self.rare.entry(what).or_default() += 1;
    }

    pub fn add(&mut self, other: &Self) {
        self.exchanges += other.exchanges;
        self.steps += other.steps;
        self.connections += other.connections;
        self.retries += other.retries;
        self.events += other.events;
        for (k, n) in &other.rare {
            *self.rare.entry(k).or_default() += n;
        }
        for (k, n) in &other.outcomes {
            *self.outcomes.entry(k.clone()).or_default() += n;
        }
        for (k, n) in &other.reasons {
            *self.reasons.entry(*k).or_default() += n;
        }
    }
}

#[derive(Debug)]
pub struct Shared {
    pub w: Weather,
    pub rng: Rng,
    pub jobs: Vec<Job>,
    pub records: Vec<Record>,
    pub todo: VecDeque<Try>,
    pub stats: Stats,
    pub trace: bool,
}

macro_rules! say {
    ($sh:expr, $now:expr, $($text:tt)*) => {
        if $sh.trace { println!("{:>12} {}", $now, format!($($text)*)) }
    };
}
pub(crate) use say;

impl Shared {
    pub fn job(&self, id: u32) -> &Job {
        &self.jobs[id as usize]
    }

    /// The application acts on this request.
    pub fn execute(&mut self, id: u32, attempt: usize) {
        let idempotent = self.job(id).is_idempotent();
        let record = &mut self.records[id as usize];
        let this = &mut record.attempts[attempt];
        this.executed += 1;
        // A relay makes attempts of its own, on behalf of this one.
        assert!(
            this.executed == 1 || self.w.relay,
            "S5: request {id}.{attempt} is executed {} times",
            this.executed
        );
        if let Some(verdict) = this.verdict {
            let lied = verdict.verdict == Verdict::Safe;
            assert!(
                !lied,
                "S5: request {id}.{attempt} was said to be safe, and is executed: {verdict:?}"
            );
        }
        let times: u32 = record.attempts.iter().map(|a| a.executed).sum();
        assert!(
            times == 1 || idempotent,
            "S5: request {id} is executed {times} times, and is not idempotent: {record:?}"
        );
    }

    /// The client's verdict on an attempt that failed. Tells whether it is made again.
    pub fn judge(&mut self, now: u64, id: u32, attempt: usize, verdict: Retry) -> bool {
        say!(self, now, "client: verdict on {id}.{attempt}: {verdict:?}");
        let record = &mut self.records[id as usize];
        let this = &mut record.attempts[attempt];
        this.verdict = Some(verdict);
        let odd = self.w.calm && verdict.verdict != Verdict::Safe;
        assert!(!odd, "{id}.{attempt} failed though nothing went wrong: {verdict:?}");
        let again = verdict.allows(true) && attempt < 4;
        assert_eq!(verdict.idempotent, self.jobs[id as usize].is_idempotent(), "request {id}");
        let lied = verdict.verdict == Verdict::Safe && this.executed > 0;
        assert!(
            !lied,
            "S5: request {id}.{attempt} was executed, and is said to be safe: {verdict:?}"
        );
        if again {
            self.stats.retries += 1;
            self.todo.push_front(Try { id, start: now, again: true });
        }
        again
    }

    pub fn finish(&mut self, now: u64, id: u32, outcome: Outcome) {
        say!(self, now, "client: request {id}: {outcome:?}");
        let calm = self.w.calm;
        let fine = matches!(outcome, Outcome::Done | Outcome::Skipped);
        assert!(
            !calm || fine,
            "request {id} came to {outcome:?} though nothing went wrong: {:?}",
            self.job(id)
        );
        let slot = &mut self.records[id as usize].outcome;
        assert!(slot.is_none(), "request {id} ends twice: {slot:?}, {outcome:?}");
        *slot = Some(outcome);
        self.stats.exchanges += 1;
        *self.stats.outcomes.entry(format!("{outcome:?}")).or_default() += 1;
    }

    pub fn closed(&mut self, now: u64, who: &'static str, ended: (CloseReason, bool), reset: bool) {
        if reset {
            self.stats.note("resets");
        }
        say!(self, now, "{who}: closed, {ended:?}");
        *self.stats.reasons.entry((who, ended.0.name())).or_default() += 1;
        if self.w.calm {
            use CloseReason as R;
            let bad = matches!(
                ended.0,
                R::Refused
                    | R::OptionsInvalid
                    | R::CodingUnsafe
                    | R::ResponseFailed
                    | R::HeadTimeout
                    | R::ContentTimeout
                    | R::WriteTimeout
                    | R::LingerOverflow
                    | R::HardStop
                    | R::Aborted
                    | R::TransportLost
                    | R::Surplus
                    | R::Idle408
                    | R::ResponseInvalid
                    | R::ResponseTimeout
                    | R::RequestTimeout
            );
            // A client that wants no more of a response, or need send no more, may go at any time.
            let left = matches!(ended.0, R::TransportLost | R::ResponseFailed) && who == "server";
            let relay = who.starts_with("relay") || self.w.relay && who == "server";
            assert!(!bad || left || relay, "{who} closes with {ended:?} though nothing went wrong");
        }
    }
}

/// A number in a field line.
pub fn number<'a>(mut fields: impl Iterator<Item = Line<'a>>, name: &str) -> Option<usize> {
    let line = fields.find(|line| line.is(name))?;
    std::str::from_utf8(line.value).ok()?.parse().ok()
}
