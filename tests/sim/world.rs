//! A world: clients, a network, a server, and a clock that jumps from event to event.

use super::client::Client;
use super::net::{Fault, Link, side};
use super::plan::{self, MS, SEC, Weather};
use super::port::at;
use super::relay::Relay;
use super::rng::Rng;
use super::server::Server;
use super::shared::{Outcome, Record, Shared, Stats, Try, say};
use std::collections::VecDeque;

/// What the client's link ends at.
#[derive(Debug)]
pub enum Far {
    Server(Box<Server>),
    Relay(Box<Relay>),
}

#[derive(Debug)]
struct Slot {
    link: Link,
    client: Client,
    far: Far,
    /// When something happens here by itself, as of the last turn.
    next: Option<u64>,
}

#[derive(Debug)]
pub struct World {
    now: u64,
    sh: Shared,
    slots: Vec<Slot>,
    made: u64,
    restart: Option<(u64, bool)>,
    winding_up: bool,
}

/// More would mean that it goes round in circles.
const STEPS: u64 = 400_000;

pub fn link(sh: &mut Shared, now: u64, made: u64) -> Link {
    let w: Weather = sh.w;
    let rng = &mut sh.rng;
    let fault = if !rng.chance(w.faulty) {
        Fault::None
    } else {
        let span = rng.pick(&[200 * MS, 10 * SEC]);
        let soon = now + rng.below(span);
        match rng.below(5) {
            0 => Fault::Reset(at(soon)),
            1 => Fault::Silence(at(soon)),
            2 => Fault::Stall(at(soon), at(soon + rng.below(200 * SEC))),
            _ => Fault::Cut(side(rng.below(2) as usize), rng.below(2_000) as usize),
        }
    };
    let seed = rng.number() ^ made;
    Link::new(w.delay, w.jitter, w.window, fault, Rng::new(seed))
}

impl World {
    pub fn new(seed: u64, jobs: u32, trace: bool) -> Self {
        let w = plan::weather(seed);
        let mut clock = 0;
        let jobs: Vec<_> = (0..jobs).map(|id| plan::job(seed, id, &w, &mut clock)).collect();
        let todo = jobs.iter().map(|j| Try { id: j.id, start: j.start, again: false });
        let todo: VecDeque<_> = todo.collect();
        let records = vec![Record::default(); jobs.len()];
        let rng = Rng::of(seed, 2);
        let stats = Stats::default();
        let sh = Shared { w, rng, jobs, records, todo, stats, trace };
        say!(sh, 0, "{w:?}");
        Self { now: 0, sh, slots: Vec::new(), made: 0, restart: w.restart, winding_up: false }
    }

    /// Runs it to its end.
    pub fn run(mut self) -> Stats {
        while self.step() {}
        for (id, record) in self.sh.records.iter().enumerate() {
            assert!(record.outcome.is_some(), "request {id} never ended: {record:?}");
        }
        self.sh.stats.steps += 0;
        self.sh.stats
    }

    fn step(&mut self) -> bool {
        self.sh.stats.steps += 1;
        assert!(self.sh.stats.steps < STEPS, "it goes round in circles: {}", self.told());
        self.dispatch();
        self.slots.retain(|slot| !slot.is_over());
        let Some(next) = self.next_event() else {
            assert!(self.slots.is_empty(), "deadlock at {}: {}", self.now, self.told());
            assert!(self.sh.todo.is_empty(), "nobody makes {:?}", self.sh.todo);
            return false;
        };
        self.now = self.now.max(next);
        if let Some((at, gentle)) = self.restart
            && at <= self.now
        {
            self.restart = None;
            self.restart(gentle);
        }
        let now = self.now;
        for slot in self.slots.iter_mut().filter(|s| s.next.is_some_and(|at| at <= now)) {
            slot.turn(now, &mut self.sh);
        }
        true
    }

    fn next_event(&self) -> Option<u64> {
        let slots = self.slots.iter().filter_map(|slot| slot.next);
        let jobs = self.sh.todo.iter().map(|t| t.start).filter(|at| *at > self.now);
        let restart = (!self.slots.is_empty()).then_some(self.restart).flatten();
        slots.chain(jobs).chain(restart.map(|(at, _)| at)).min()
    }

    fn told(&self) -> String {
        self.slots.iter().map(|slot| slot.told() + "\n").collect()
    }

    /// Makes the requests whose time has come.
    fn dispatch(&mut self) {
        if self.sh.todo.iter().all(|job| job.start > self.now) {
            return;
        }
        let mut waiting = VecDeque::new();
        while let Some(mut job) = self.sh.todo.pop_front() {
            if job.start > self.now || !self.place(&mut job) {
                waiting.push_back(job);
            }
        }
        self.sh.todo = waiting;
    }

    fn place(&mut self, job: &mut Try) -> bool {
        let now = self.now;
        let again = *job;
        // S5.2: a second attempt is made on a new connection.
        if !job.again {
            for slot in self.slots.iter_mut().filter(|s| s.client.may_take(now, false)) {
                if slot.client.check_out(now, &mut slot.link) {
                    slot.client.start(now, &mut self.sh, again).expect("checked out");
                    slot.turn(now, &mut self.sh);
                    return true;
                }
                slot.turn(now, &mut self.sh);
            }
            for slot in self.slots.iter_mut().filter(|s| s.client.may_take(now, true)) {
                if slot.client.start(now, &mut self.sh, again).is_ok() {
                    slot.turn(now, &mut self.sh);
                    return true;
                }
            }
        }
        let open = self.slots.iter().filter(|s| s.client.port.ended.is_none()).count();
        if open >= self.sh.w.pool && !job.again {
            return false;
        }
        let mut slot = self.connect();
        // Some connections are made ahead of their use.
        if self.sh.rng.chance(50) && !job.again {
            self.slots.push(slot);
            let most = if self.sh.w.calm { SEC } else { 40 * SEC };
            job.start = now + 1 + self.sh.rng.below(most);
            return false;
        }
        slot.client.start(now, &mut self.sh, again).expect("a fresh connection");
        slot.turn(now, &mut self.sh);
        self.slots.push(slot);
        true
    }

    fn connect(&mut self) -> Slot {
        self.made += 1;
        self.sh.stats.connections += 1;
        let (now, name) = (self.now, self.made);
        let link = link(&mut self.sh, now, name);
        say!(self.sh, now, "client {name}: connects, {:?}", link.fault);
        let style = plan::style(&mut self.sh.rng, self.sh.w.calm);
        let client = Client::new(now, &self.sh, style, name);
        let style = plan::style(&mut self.sh.rng, self.sh.w.calm);
        let far = if self.sh.w.relay {
            Far::Relay(Box::new(Relay::new(now, &self.sh, style, name)))
        } else {
            Far::Server(Box::new(Server::new(now, &self.sh, style, name)))
        };
        say!(self.sh, now, "styles: {:?}, {style:?}", client.port.style);
        Slot { link, client, far, next: Some(now) }
    }

    fn restart(&mut self, gentle: bool) {
        let now = self.now;
        say!(self.sh, now, "the server restarts, gentle: {gentle}");
        for slot in &mut self.slots {
            slot.next = Some(now);
            match &mut slot.far {
                Far::Server(server) if gentle => server.drain(now),
                Far::Server(server) => {
                    slot.link.abort(now, 1);
                    server.port.ended = Some((keepalive::CloseReason::Aborted, true));
                }
                Far::Relay(relay) => relay.restart(now, gentle),
            }
        }
    }
}

impl Slot {
    fn next_event(&self) -> Option<u64> {
        let far = match &self.far {
            Far::Server(server) => server.next_event(),
            Far::Relay(relay) => relay.next_event(),
        };
        [self.link.next_event(), self.client.next_event(), far].into_iter().flatten().min()
    }

    fn turn(&mut self, now: u64, sh: &mut Shared) {
        for round in 0.. {
            assert!(round < 100_000, "it never comes to rest: {}", self.told());
            self.link.arrive(now);
            let mut any = self.client.pump(now, &mut self.link, sh);
            any |= match &mut self.far {
                Far::Server(server) => server.pump(now, &mut self.link, sh),
                Far::Relay(relay) => relay.pump(now, &mut self.link, sh),
            };
            any |= self.link.take_writable(0) | self.link.take_writable(1);
            if !any {
                self.next = self.next_event();
                return;
            }
        }
    }

    fn told(&self) -> String {
        let far = match &self.far {
            Far::Server(server) => format!("{:?} {:?}", server.port.m, server.port.ended),
            Far::Relay(relay) => relay.told(),
        };
        format!("{:?} {:?} // {far}", self.client.port.m, self.client.port.ended)
    }

    fn is_over(&self) -> bool {
        let far = match &self.far {
            Far::Server(server) => server.port.ended.is_some(),
            Far::Relay(relay) => relay.is_over(),
        };
        far && self.client.port.ended.is_some()
    }
}

/// So that outcomes can be told in one line.
pub fn summary(stats: &Stats) -> String {
    let mut done = 0;
    let mut text = String::new();
    for (outcome, n) in &stats.outcomes {
        if *outcome == format!("{:?}", Outcome::Done) {
            done = *n;
        } else {
            text += &format!(", {n} {outcome}");
        }
    }
    format!("{done} done{text}")
}
