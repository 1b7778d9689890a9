//! A client's end: one connection of a small pool.

use super::net::{Fault, Got, Link};
use super::plan::{Job, Reading, pattern};
use super::port::{Port, Style, at};
use super::rng::Rng;
use super::shared::{Outcome, Shared, Try, number, say};
use keepalive::client::{Connection, Event, Reuse};
use keepalive::testkit::Side;
use keepalive::{Content, Io, Kind, Lost, NO_FIELDS, Plan, ResponseFraming, Retire, SendError};
use std::collections::VecDeque;

#[derive(Debug)]
struct Flight {
    id: u32,
    attempt: usize,
    status: u16,
    /// Of some machine's, and not of the application's.
    own: bool,
    until_close: bool,
    got: usize,
    interims: u8,
    /// The application is through with it.
    over: bool,
    /// It is to be made again when its response is over.
    again: bool,
    rested: bool,
}

#[derive(Debug)]
struct Upload {
    id: u32,
    sent: usize,
    rested: bool,
}

#[derive(Debug)]
pub struct Client {
    pub port: Port<Connection>,
    flights: VecDeque<Flight>,
    upload: Option<Upload>,
    rests: u64,
    failed: bool,
    half_close: bool,
    pub name: u64,
}

impl Client {
    pub fn new(now: u64, sh: &Shared, style: Style, name: u64) -> Self {
        let m = Connection::new(&sh.w.client, at(now));
        let port = Port::new(m, 0, sh.w.client.receive_buffer(), style);
        Self {
            port,
            flights: VecDeque::new(),
            upload: None,
            rests: 0,
            failed: false,
            half_close: false,
            name,
        }
    }

    pub fn next_event(&self) -> Option<u64> {
        let rests = (self.rests > 0 && self.port.ended.is_none()).then_some(self.rests);
        match (self.port.next_event(), rests) {
            (Some(a), Some(b)) if self.port.asleep == 0 => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Whether it could take a request, without having looked.
    pub fn may_take(&self, now: u64, pipelined: bool) -> bool {
        let idle = self.flights.is_empty() && self.upload.is_none();
        let open = self.port.ended.is_none() && !self.half_close && self.port.asleep <= now;
        let ready =
            matches!(self.port.m.reuse(at(now)), Reuse::Ready { .. } | Reuse::ImmediateOnly);
        open && if pipelined { !idle && !ready } else { idle && ready }
    }

    pub fn is_idle(&self) -> bool {
        self.flights.is_empty()
    }

    /// The check of S2.6.
    pub fn check_out(&mut self, now: u64, link: &mut Link) -> bool {
        let port = &mut self.port;
        let before = port.rx.len();
        let io = match link.read(port.side, port.cap, &mut port.rx) {
            Got::Octets => Io::Done(port.rx.len() - before),
            Got::Nothing => Io::Nothing,
            Got::Eof => {
                port.eof = true;
                Io::Done(0)
            }
            Got::Reset => Io::Lost(Lost::Reset),
        };
        let reuse = port.m.checkout(at(now), io, &port.rx);
        port.check();
        let ready = matches!(reuse, Reuse::Ready { .. } | Reuse::ImmediateOnly);
        if ready {
            port.rx.clear();
        }
        ready
    }

    pub fn retire(&mut self, now: u64) {
        self.port.m.retire(at(now), Retire::Application);
        self.port.check();
    }

    /// Makes a request, or tells why not.
    pub fn start(&mut self, now: u64, sh: &mut Shared, again: Try) -> Result<(), SendError> {
        let attempt = sh.records[again.id as usize].attempts.len();
        let job = sh.jobs[again.id as usize].clone();
        let (id, n) = (job.id.to_string(), attempt.to_string());
        let mut fields = vec![("Host", "a"), ("X-Id", &id), ("X-Attempt", &n)];
        if job.says_close {
            fields.push(("Connection", "close"));
        }
        if job.expect && !again.again {
            fields.push(("Expect", "100-continue"));
        }
        let mut out = [0; 1024];
        let port = &mut self.port;
        if sh.rng.chance(20) {
            let before = port.m.clone();
            let short = &mut out[..sh.rng.below(60) as usize];
            let fields = fields.iter().copied();
            let tried = port.m.request(at(now), job.method, "/x", fields, job.up, short);
            assert!(tried.is_err() && before == port.m, "a failed call changed something");
        }
        let started = port.m.request(at(now), job.method, "/x", fields, job.up, &mut out)?;
        port.tx.extend(&out[..started.written]);
        port.check();
        say!(sh, now, "client {}: request {}.{attempt} {job:?}", self.name, job.id);
        sh.records[again.id as usize].attempts.push(Default::default());
        if !matches!(started.plan, Plan::None | Plan::Length(0)) {
            self.upload = Some(Upload { id: job.id, sent: 0, rested: false });
        }
        self.half_close |= job.half_close;
        if !self.flights.is_empty() {
            sh.stats.note("pipelined requests");
        }
        self.flights.push_back(Flight {
            id: job.id,
            attempt,
            status: 0,
            own: false,
            until_close: false,
            got: 0,
            interims: 0,
            over: false,
            again: false,
            rested: false,
        });
        Ok(())
    }

    pub fn pump(&mut self, now: u64, link: &mut Link, sh: &mut Shared) -> bool {
        if self.port.ended.is_some() || self.port.is_asleep(now) {
            return false;
        }
        if self.rests <= now {
            self.rests = 0;
        }
        let mut any = self.port.read(now, link, &mut sh.rng);
        any |= self.receive(now, link, sh);
        if self.port.expire(now, &mut sh.rng) {
            any = true;
            self.receive(now, link, sh);
        }
        any |= self.send(now, sh);
        any |= self.port.write(now, link, &mut sh.rng);
        self.close_half(now, link, sh);
        if self.port.end(now, link) {
            any = true;
            if let Some(ended) = self.port.ended {
                sh.closed(now, "client", ended, self.port.lost);
                self.account(now, sh);
            }
        }
        any
    }

    /// The client has nothing more to say, and says so to the network only.
    fn close_half(&mut self, now: u64, link: &mut Link, sh: &mut Shared) {
        let done = self.upload.is_none() && self.port.tx.is_empty();
        if self.half_close && done && !self.flights.is_empty() && self.port.m.untransmitted() == 0 {
            if self.port.m.persistence().persists() {
                say!(sh, now, "client {}: half-close", self.name);
                sh.stats.note("half-closes");
            }
            link.shutdown(now, 0);
            self.retire(now);
        }
    }

    fn room(&self, now: u64, rng: &mut Rng) -> usize {
        if self.rests > now {
            return 0;
        }
        if rng.chance(100) { rng.range(1, 50) as usize } else { usize::MAX }
    }

    fn receive(&mut self, now: u64, link: &Link, sh: &mut Shared) -> bool {
        let mut any = false;
        loop {
            let room = self.room(now, &mut sh.rng);
            self.port.paused = room == 0;
            let Self { port, flights, rests, failed, .. } = self;
            let step = port.m.receive(at(now), &port.rx, room);
            let consumed = step.consumed;
            assert!(consumed <= port.rx.len());
            any |= consumed > 0 || step.event.is_some();
            let more = step.event.is_some();
            if let Some(event) = step.event {
                sh.stats.events += 1;
                assert!(!*failed, "an event after Failed: {event:?}");
                let mut abort = false;
                match event {
                    Event::Failed(failure) => {
                        say!(sh, now, "client {}: {failure:?}", self.name);
                        *failed = true;
                        Self::give_up(now, &port.m, flights, sh, failure.kind);
                        self.upload = None;
                    }
                    event => {
                        // What was skipped may have ended within the same call.
                        while flights.front().is_some_and(|f| f.over) {
                            flights.pop_front();
                        }
                        let flight = flights.front_mut().expect("a request that was asked for");
                        abort = Self::heed(now, &mut port.m, flight, rests, sh, link, event);
                    }
                }
                if abort {
                    port.m.abort(at(now));
                    port.tx.clear();
                    self.upload = None;
                }
            }
            port.rx.drain(..consumed);
            port.check();
            self.settle(now, sh);
            if !more {
                self.fixed_point(now, room, sh);
                return any;
            }
        }
    }

    /// `None` stays `None`.
    fn fixed_point(&mut self, now: u64, room: usize, sh: &mut Shared) {
        if sh.rng.chance(60) {
            let before = self.port.m.clone();
            let step = self.port.m.receive(at(now), &self.port.rx, room);
            assert!(
                step.consumed == 0 && step.event.is_none(),
                "None did not stay: {step:?} {before:?}"
            );
            assert_eq!(before, self.port.m);
        }
    }

    /// One event of a response. Tells whether the application gives up.
    fn heed(
        now: u64,
        m: &mut Connection,
        flight: &mut Flight,
        rests: &mut u64,
        sh: &mut Shared,
        link: &Link,
        event: Event<'_>,
    ) -> bool {
        let job: &Job = &sh.jobs[flight.id as usize];
        let id = flight.id;
        match event {
            Event::Interim(head) => {
                sh.stats.note(if head.status() == 100 { "100s" } else { "interim responses" });
                assert!(matches!(head.status(), 100 | 103), "{head:?}");
                assert!(flight.status == 0, "an interim response after a final one");
                flight.interims += u8::from(head.status() == 103);
            }
            Event::Response(head) => {
                say!(sh, now, "client: response {} to {id}.{}", head.status(), flight.attempt);
                assert_eq!(flight.status, 0, "two responses");
                flight.status = head.status();
                flight.until_close = head.framing() == ResponseFraming::UntilClose;
                flight.own = number(head.fields(), "X-Id").is_none();
                if flight.own {
                    let rough = matches!(head.status(), 408 | 502 | 504);
                    assert!(rough && !sh.w.calm, "an honest client is told {head:?}: {job:?}");
                } else {
                    let of = (number(head.fields(), "X-Id"), number(head.fields(), "X-Attempt"));
                    let mine = (Some(id as usize), Some(flight.attempt));
                    // A relay makes attempts of its own, on behalf of this one.
                    assert_eq!(of, mine, "a response to another request: {head:?}");
                    assert_eq!(head.status(), job.status);
                    assert_eq!(flight.interims, job.interims, "interim responses were lost");
                }
                if matches!(head.status(), 408 | 417)
                    && let Some(verdict) = m.retry(0)
                    && (head.status() == 408 || verdict.allows(true))
                {
                    flight.again = sh.judge(now, id, flight.attempt, verdict);
                }
            }
            Event::Content(octets) => {
                assert!(flight.status >= 200, "content without a head");
                if !flight.own {
                    let echo = job.reading == Reading::Echo && job.down_len == job.up_len;
                    let echo = echo && job.down == Content::Unknown && job.up_len > 0;
                    let right = pattern(id, !echo, flight.got, octets.len());
                    assert!(octets == right, "content of another response, at {}", flight.got);
                }
                flight.got += octets.len();
                assert!(flight.own || flight.got <= job.expected(), "more content than was sent");
                if !flight.rested && job.rest > 0 && sh.rng.chance(300) {
                    flight.rested = true;
                    *rests = now + job.rest;
                }
                if job.client_aborts.is_some_and(|n| flight.got >= n) {
                    flight.over = true;
                    let id = flight.id;
                    if !flight.again {
                        sh.finish(now, id, Outcome::Cancelled);
                    }
                    return true;
                }
                if job.client_skips.is_some_and(|n| flight.got >= n) && !flight.own {
                    let before = m.clone();
                    m.skip_content(at(now));
                    // Of content that is over there is nothing to skip.
                    if *m != before {
                        flight.over = true;
                        if !flight.again {
                            sh.finish(now, id, Outcome::Skipped);
                        }
                    }
                }
            }
            Event::End(_) => {
                assert!(flight.status >= 200, "an end without a head");
                flight.over = true;
                if !flight.again {
                    let whole = flight.own || flight.got == job.expected();
                    let cut =
                        flight.until_close && matches!(link.fault, Fault::Cut(Side::Server, _));
                    assert!(
                        whole || cut || sh.w.relay && !sh.w.calm && flight.until_close,
                        "S6.4: {} of {} octets, and called whole",
                        flight.got,
                        job.expected()
                    );
                    let outcome = match (flight.own, whole) {
                        (true, _) => Outcome::Refused(flight.status),
                        (_, true) => Outcome::Done,
                        (_, false) => Outcome::Clipped,
                    };
                    sh.finish(now, id, outcome);
                }
            }
            Event::Failed(_) => {}
        }
        false
    }

    /// Drops what is answered.
    fn settle(&mut self, now: u64, sh: &mut Shared) {
        let _ = now;
        let open = self.port.m.outstanding();
        if self.failed {
            return;
        }
        while self.flights.len() > open {
            let flight = self.flights.pop_front().expect("one more");
            assert!(flight.over, "answered, but nobody was told: {flight:?} {:?}", self.port.m);
            if self.upload.as_ref().is_some_and(|u| u.id == flight.id)
                && !self.port.m.wants().content
            {
                self.upload = None;
            }
        }
        assert_eq!(self.flights.len(), open, "requests were lost: {:?}", self.port.m);
        let _ = sh;
    }

    fn give_up(
        now: u64,
        m: &Connection,
        flights: &mut VecDeque<Flight>,
        sh: &mut Shared,
        kind: Kind,
    ) {
        let open = m.outstanding();
        assert!(open > 0, "a failure of nothing: {m:?}");
        // The first may be answered, and only its content skipped.
        let first = flights.len().checked_sub(open).expect("as many requests as were made");
        for (i, flight) in flights.drain(..).enumerate() {
            if flight.over || flight.again || i < first {
                continue;
            }
            let verdict = m.retry(i - first).expect("a verdict on each request");
            if !sh.judge(now, flight.id, flight.attempt, verdict) {
                sh.finish(now, flight.id, Outcome::Failed(kind));
            }
        }
    }

    /// The connection is closed: nothing may be left open without a word.
    fn account(&mut self, now: u64, sh: &mut Shared) {
        let aborted = matches!(self.port.ended, Some((keepalive::CloseReason::Aborted, true)));
        let open = self.port.m.outstanding();
        let first = self.flights.len().saturating_sub(open);
        for (i, flight) in std::mem::take(&mut self.flights).into_iter().enumerate() {
            if flight.over || flight.again {
                continue;
            }
            assert!(aborted, "closed, and {flight:?} was never ended: {:?}", self.port.m);
            let verdict = self.port.m.retry(i - first).expect("a verdict on each request");
            if !sh.judge(now, flight.id, flight.attempt, verdict) {
                sh.finish(now, flight.id, Outcome::Collateral);
            }
        }
    }

    fn send(&mut self, now: u64, sh: &mut Shared) -> bool {
        let mut any = false;
        while self.port.m.wants().content && self.port.tx.len() < sh.w.out && self.rests <= now {
            let Some(upload) = self.upload.as_mut() else {
                panic!("wants content: {:?}", self.port.m)
            };
            let job = &sh.jobs[upload.id as usize];
            if !upload.rested && job.rest > 0 && upload.sent * 2 >= job.up_len && job.id % 2 == 0 {
                upload.rested = true;
                self.rests = now + job.rest;
                break;
            }
            let port = &mut self.port;
            any = true;
            if upload.sent == job.up_len {
                let mut out = [0; 64];
                let n = if job.trailers {
                    port.m.finish(at(now), [("X-Sum", "1")], &mut out)
                } else {
                    port.m.finish(at(now), NO_FIELDS, &mut out)
                };
                port.tx.extend(&out[..n.expect("room for the end")]);
                port.check();
                self.upload = None;
                break;
            }
            let most = if sh.rng.chance(800) { 4096 } else { sh.rng.range(1, 30) };
            let n = (job.up_len - upload.sent).min(most as usize);
            let octets = pattern(job.id, false, upload.sent, n);
            upload.sent += put(now, &mut port.m, &mut port.tx, octets, &mut sh.rng);
            port.check();
            if upload.sent == job.up_len && job.up != Content::Unknown {
                assert!(!port.m.wants().content, "S8.10: a length that does not end itself");
                self.upload = None;
            }
        }
        any
    }
}

/// Sends content, by copy or by frame.
fn put(now: u64, m: &mut Connection, tx: &mut Vec<u8>, octets: &[u8], rng: &mut Rng) -> usize {
    if rng.chance(300) {
        let frame = m.frame(at(now), octets.len() as u64).expect("content that was declared");
        assert_eq!(frame.content, octets.len() as u64);
        tx.extend(&*frame.prefix);
        tx.extend(octets);
        tx.extend(frame.suffix);
        return octets.len();
    }
    let mut out = [0; 4200];
    let space = rng.pick(&[4200, 4200, 100]) as usize;
    let moved = m.send(at(now), octets, &mut out[..space]).expect("content that was declared");
    assert!(moved.taken > 0, "no room in {space} octets");
    tx.extend(&out[..moved.written]);
    moved.taken
}
