//! A server's end: one connection, and the application behind it.

use super::net::Link;
use super::plan::{Job, Reading, pattern};
use super::port::{Port, Style, at};
use super::rng::Rng;
use super::shared::{Shared, number, say};
use keepalive::server::{Connection, Event};
use keepalive::{Content, Kind, NO_FIELDS, Plan, Retire};

/// The exchange that the application is at.
#[derive(Debug)]
struct Current {
    id: u32,
    attempt: usize,
    got: usize,
    /// How the request ended: its `End` or `Failed` came.
    whole: bool,
    failed: bool,
    skipped: bool,
    unread: bool,
    answer_at: u64,
    informed: u8,
    plan: Option<Plan>,
    sent: usize,
    finished: bool,
    /// Content that is to be sent back.
    echo: usize,
    rested: bool,
    executed: bool,
}

impl Current {
    fn is_answered(&self) -> bool {
        self.plan.is_some() && self.finished
    }

    /// Once for each time that the request comes here.
    fn execute(&mut self, sh: &mut Shared) {
        // A relay's 408 cannot vouch for an origin that acts on parts of requests.
        if sh.w.relay && !self.whole {
            return;
        }
        if !std::mem::replace(&mut self.executed, true) {
            sh.execute(self.id, self.attempt);
        }
    }

    fn is_over(&self) -> bool {
        self.is_answered() && (self.whole || self.failed || self.skipped || self.unread)
    }
}

#[derive(Debug)]
pub struct Server {
    pub port: Port<Connection>,
    cur: Option<Current>,
    rests: u64,
    /// When it was last looked at.
    seen: u64,
    pub name: u64,
    /// When it was told to drain.
    drained: Option<u64>,
}

fn echoes(job: &Job) -> bool {
    job.reading == Reading::Echo && job.up_len > 0 && !matches!(job.status, 204 | 304)
}

impl Server {
    pub fn new(now: u64, sh: &Shared, style: Style, name: u64) -> Self {
        let m = Connection::new(&sh.w.server, at(now));
        let port = Port::new(m, 1, sh.w.server.receive_buffer(), style);
        Self { port, cur: None, rests: 0, seen: now, name, drained: None }
    }

    pub fn next_event(&self) -> Option<u64> {
        if self.port.ended.is_some() {
            return None;
        }
        if self.port.asleep > 0 {
            return Some(self.port.asleep);
        }
        let answer = self.cur.as_ref().filter(|c| c.plan.is_none() && c.answer_at > self.seen);
        let answer = answer.filter(|_| self.port.m.wants().head).map(|c| c.answer_at);
        let rests = (self.rests > 0).then_some(self.rests);
        [self.port.next_event(), answer, rests].into_iter().flatten().min()
    }

    pub fn drain(&mut self, now: u64) {
        if self.port.ended.is_none() {
            self.drained = Some(now);
            self.port.m.retire(at(now), Retire::Drain);
            self.port.check();
        }
    }

    pub fn pump(&mut self, now: u64, link: &mut Link, sh: &mut Shared) -> bool {
        if self.port.ended.is_some() || self.port.is_asleep(now) {
            return false;
        }
        self.seen = now;
        if self.rests <= now {
            self.rests = 0;
        }
        if let Some(since) = self.drained {
            // S6.6, and the linger of S6.1 behind it.
            let long = now.saturating_sub(since) > 62_000_000;
            assert!(!long, "S6.6: still there long after the drain: {:?}", self.port.m);
        }
        let mut any = self.port.read(now, link, &mut sh.rng);
        any |= self.receive(now, sh);
        if self.port.expire(now, &mut sh.rng) {
            any = true;
            self.receive(now, sh);
        }
        any |= self.answer(now, sh);
        any |= self.receive(now, sh);
        any |= self.emit(now, sh);
        any |= self.port.write(now, link, &mut sh.rng);
        if self.port.end(now, link) {
            any = true;
            if let Some(ended) = self.port.ended {
                sh.closed(now, "server", ended, self.port.lost);
                if self.drained.is_some() {
                    sh.stats.note("drains");
                }
            }
        }
        any
    }

    fn emit(&mut self, now: u64, sh: &mut Shared) -> bool {
        let port = &mut self.port;
        let due = port.m.wants().emit;
        let mut out = [0; Connection::EMIT_ROOM];
        if due && sh.rng.chance(100) {
            let before = port.m.clone();
            assert!(port.m.emit(at(now), &mut out[..9]).is_err() && before == port.m);
        }
        let n = port.m.emit(at(now), &mut out).expect("EMIT_ROOM is enough");
        assert_eq!(n > 0, due, "emit and wants disagree: {:?}", port.m);
        assert!(!port.m.wants().emit);
        if n > 0 {
            let line = String::from_utf8_lossy(&out[..n.min(24)]).into_owned();
            say!(sh, now, "server {}: emits {line:?}", self.name);
            port.tx.extend(&out[..n]);
            port.check();
        }
        n > 0
    }

    fn room(&self, now: u64, sh: &mut Shared) -> usize {
        if self.rests > now {
            return 0;
        }
        // What comes out of it must fit the output.
        let space = sh.w.out.saturating_sub(self.port.tx.len());
        let fits = self.port.m.fits(space);
        let echo = self.cur.as_ref().is_some_and(|c| echoes(sh.job(c.id)));
        if echo || !self.port.m.wants().content && sh.rng.chance(500) {
            fits
        } else if sh.rng.chance(100) {
            sh.rng.range(1, 50) as usize
        } else {
            usize::MAX
        }
    }

    fn receive(&mut self, now: u64, sh: &mut Shared) -> bool {
        let mut any = false;
        loop {
            let room = self.room(now, sh);
            self.port.paused = room == 0;
            let Self { port, cur, rests, name, .. } = self;
            let step = port.m.receive(at(now), &port.rx, room);
            let consumed = step.consumed;
            assert!(consumed <= port.rx.len());
            any |= consumed > 0 || step.event.is_some();
            let more = step.event.is_some();
            if let Some(event) = step.event {
                sh.stats.events += 1;
                Self::heed(now, &mut port.m, &mut port.tx, cur, rests, sh, *name, event);
            }
            port.rx.drain(..consumed);
            port.check();
            if !more {
                if sh.rng.chance(60) {
                    let before = port.m.clone();
                    let step = port.m.receive(at(now), &port.rx, room);
                    let nothing = step.consumed == 0 && step.event.is_none();
                    assert!(nothing, "None did not stay: {step:?} {before:?}");
                    assert_eq!(before, port.m);
                }
                return any;
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn heed(
        now: u64,
        m: &mut Connection,
        tx: &mut Vec<u8>,
        cur: &mut Option<Current>,
        rests: &mut u64,
        sh: &mut Shared,
        name: u64,
        event: Event<'_>,
    ) {
        match event {
            Event::Request(head) => {
                if let Some(before) = cur {
                    assert!(before.is_over(), "S7.1: a request before {before:?} is over");
                }
                let id = number(head.fields(), "X-Id").expect("a request with a number") as u32;
                let attempt = number(head.fields(), "X-Attempt").expect("an attempt");
                let job = sh.job(id);
                say!(sh, now, "server {name}: request {id}.{attempt}");
                assert_eq!(head.method(), job.method);
                if !sh.w.relay {
                    assert_eq!(head.has_content(), job.up_len > 0 || job.up == Content::Unknown);
                }
                let answer_at = now + job.think;
                let reads = job.reading != Reading::Unread;
                if reads {
                    m.read_content(at(now));
                }
                *cur = Some(Current {
                    id,
                    attempt,
                    got: 0,
                    whole: false,
                    failed: false,
                    skipped: false,
                    unread: !reads && head.has_content(),
                    answer_at,
                    informed: 0,
                    plan: None,
                    sent: 0,
                    finished: false,
                    echo: 0,
                    rested: false,
                    executed: false,
                });
            }
            Event::Content(octets) => {
                let cur = cur.as_mut().expect("a request");
                assert!(!cur.whole && !cur.failed && !cur.skipped && !cur.unread, "{cur:?}");
                let job = sh.job(cur.id);
                let right = pattern(cur.id, false, cur.got, octets.len());
                assert!(octets == right, "content of another request, at {}", cur.got);
                cur.got += octets.len();
                assert!(cur.got <= job.up_len, "more content than was sent");
                if !cur.rested && job.rest > 0 && job.id % 3 == 0 {
                    cur.rested = true;
                    *rests = now + job.rest;
                }
                if let Reading::Skip(n) = job.reading
                    && cur.got > n
                {
                    let before = m.clone();
                    m.skip_content(at(now));
                    cur.skipped = *m != before;
                }
                if echoes(job) {
                    cur.echo = cur.got;
                    let id = cur.id;
                    if cur.plan.is_none() && m.wants().head {
                        cur.execute(sh);
                        Self::begin(now, m, tx, cur, &sh.jobs[id as usize], &mut sh.rng);
                    }
                    Self::echo(now, m, tx, cur);
                }
            }
            Event::End(trailers) => {
                let cur = cur.as_mut().expect("a request");
                assert!(!cur.whole && !cur.failed && !cur.skipped, "a second end: {cur:?}");
                cur.whole = true;
                let job = &sh.jobs[cur.id as usize];
                assert_eq!(cur.got, job.up_len, "S8: a request that is short, and called whole");
                let sum = trailers.into_iter().any(|line| line.is("x-sum"));
                let due = job.trailers && job.up == Content::Unknown;
                assert_eq!(sum, due, "trailers were lost");
                if job.status != 417 {
                    cur.execute(sh);
                }
            }
            Event::Failed(failure) => {
                say!(sh, now, "server {name}: {failure:?}");
                // A client may stop and go when it is answered, or wants no more.
                let left = matches!(
                    failure.kind,
                    Kind::IncompleteContent | Kind::Reset | Kind::WriteFailed
                );
                assert!(
                    !sh.w.calm || left,
                    "{failure:?} though nothing went wrong: {m:?}, {} octets waiting",
                    tx.len()
                );
                // Without a request it was a head that failed.
                if let Some(cur) = cur
                    && !cur.is_over()
                {
                    assert!(!cur.whole && !cur.skipped, "{failure:?} after the end: {cur:?}");
                    cur.failed = true;
                    if cur.plan.is_none() {
                        // The machine answers, or nobody.
                        cur.plan = Some(Plan::None);
                        cur.finished = true;
                        assert!(!m.wants().head, "S3: an answer is asked for after {failure:?}");
                    }
                }
            }
        }
    }

    fn answer(&mut self, now: u64, sh: &mut Shared) -> bool {
        let Self { port, cur: Some(cur), name, .. } = self else { return false };
        let job = &sh.jobs[cur.id as usize];
        let mut any = false;
        let ready = cur.whole
            || cur.unread
            || cur.skipped
            || matches!(job.reading, Reading::Early(n) if cur.got > n);
        if port.m.wants().head && ready && cur.answer_at <= now && port.tx.len() < sh.w.out {
            say!(sh, now, "server {name}: answers {}.{}", cur.id, cur.attempt);
            if job.status != 417 {
                cur.execute(sh);
            }
            let job = &sh.jobs[cur.id as usize];
            Self::begin(now, &mut port.m, &mut port.tx, cur, job, &mut sh.rng);
            any = true;
        }
        any | self.send(now, sh)
    }

    /// Interim responses, and the final head.
    fn begin(
        now: u64,
        m: &mut Connection,
        tx: &mut Vec<u8>,
        cur: &mut Current,
        job: &Job,
        rng: &mut Rng,
    ) {
        let mut out = [0; 1024];
        while cur.informed < job.interims {
            let n =
                m.inform(at(now), 103, [("Link", "</x>")], &mut out).expect("an interim response");
            tx.extend(&out[..n]);
            cur.informed += 1;
        }
        let (id, n) = (job.id.to_string(), cur.attempt.to_string());
        let mut fields = vec![("X-Id", id.as_str()), ("X-Attempt", n.as_str())];
        if job.server_closes {
            fields.push(("Connection", "close"));
        }
        if rng.chance(20) {
            let before = m.clone();
            let short = &mut out[..rng.below(40) as usize];
            let fields = fields.iter().copied();
            assert!(m.respond(at(now), job.status, fields, job.down, short).is_err());
            assert_eq!(before, *m, "a failed call changed something");
        }
        let started = m.respond(at(now), job.status, fields, job.down, &mut out);
        let started = started.expect("a response that is owed");
        tx.extend(&out[..started.written]);
        cur.plan = Some(started.plan);
        cur.finished = !m.wants().content;
    }

    fn echo(now: u64, m: &mut Connection, tx: &mut Vec<u8>, cur: &mut Current) {
        let mut out = [0; 9000];
        while cur.sent < cur.echo && m.wants().content {
            let octets = pattern(cur.id, false, cur.sent, (cur.echo - cur.sent).min(8000));
            let moved = m.send(at(now), octets, &mut out).expect("a response that has begun");
            tx.extend(&out[..moved.written]);
            cur.sent += moved.taken;
        }
    }

    fn send(&mut self, now: u64, sh: &mut Shared) -> bool {
        let Self { port, cur: Some(cur), .. } = self else { return false };
        let job = &sh.jobs[cur.id as usize];
        let echo = echoes(job);
        let mut any = false;
        while cur.plan.is_some() && port.m.wants().content && port.tx.len() < sh.w.out {
            if job.server_aborts.is_some_and(|n| cur.sent >= n) && !cur.finished {
                port.m.abort(at(now));
                port.tx.clear();
                port.check();
                cur.finished = true;
                return true;
            }
            let mut out = [0; 4200];
            if cur.sent == job.down_len || echo && cur.failed {
                if job.down != Content::Unknown || echo && cur.failed {
                    // What was declared cannot be had any more.
                    assert!(echo && cur.failed, "S8.10: a length that does not end itself");
                    port.m.abort(at(now));
                    port.tx.clear();
                    port.check();
                    cur.finished = true;
                    return true;
                }
                if echo && !cur.whole {
                    break;
                }
                let n = if job.trailers {
                    port.m.finish(at(now), [("X-Sum", "1")], &mut out)
                } else {
                    port.m.finish(at(now), NO_FIELDS, &mut out)
                };
                port.tx.extend(&out[..n.expect("room for the end")]);
                any = true;
                break;
            }
            if echo {
                break;
            }
            let most = if sh.rng.chance(800) { 4096 } else { sh.rng.range(1, 30) };
            let n = (job.down_len - cur.sent).min(most as usize);
            let octets = pattern(cur.id, true, cur.sent, n);
            if sh.rng.chance(300) {
                let frame = port.m.frame(at(now), n as u64).expect("content that was declared");
                assert_eq!(frame.content, n as u64);
                port.tx.extend(&*frame.prefix);
                port.tx.extend(octets);
                port.tx.extend(frame.suffix);
                cur.sent += n;
            } else {
                let moved = port.m.send(at(now), octets, &mut out).expect("content");
                port.tx.extend(&out[..moved.written]);
                cur.sent += moved.taken;
            }
            port.check();
            any = true;
        }
        if cur.plan.is_some() && !port.m.wants().content {
            cur.finished = true;
        }
        any
    }
}
