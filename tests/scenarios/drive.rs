//! Drives a connection through a script, in one of several manners, and checks on the way what is to
//! hold at every moment.

use super::case::{Call, Case, Fields, Line, Op, Role, Token, instant, show};
use super::conn::{Conn, Stop, both};
use super::event::Ev;
use super::settings::{client_config, int, server_config};
use super::show::{show_end, show_error, show_plan, show_reuse, show_wants, text};
use keepalive::client::{self, Reuse};
use keepalive::{
    Content, End, Instant, Lost, Persistence, Plan, SendError, Started, Verdict, server,
};

/// In what manner bytes and space are handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Each piece as it stands in the case; output space in plenty.
    Whole,
    /// One byte at a time.
    Bytes,
    /// Cut at places that the seed decides.
    Cut(u64),
    /// Output space as small as will do; content is sent in crumbs.
    Tight,
    /// Both at once.
    TightBytes,
    /// Content goes out by `frame`, uncopied.
    Framed,
}

impl Manner {
    /// How many of so many bytes come next.
    pub(crate) fn cut(self, random: &mut Random, all: usize) -> usize {
        match self {
            Self::Whole | Self::Tight | Self::Framed => all,
            Self::Bytes | Self::TightBytes => 1,
            Self::Cut(_) => {
                // Short pieces and long ones.
                let most = if random.below(3) == 0 { 4 } else { all };
                1 + random.below(most.min(all))
            }
        }
    }

    fn tight(self) -> bool {
        matches!(self, Self::Tight | Self::TightBytes)
    }
}

/// What went wrong, and at which line of the case.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) line: usize,
    pub(crate) what: String,
}

/// A small generator, for the cuts.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

fn lines(fields: &Fields) -> Vec<(&str, &[u8])> {
    fields.iter().map(|(n, v)| (n.as_str(), v.as_slice())).collect()
}

pub(crate) struct Driver<'c> {
    case: &'c Case,
    manner: Manner,
    random: Random,
    conn: Conn,
    now: Instant,
    unread: Vec<u8>,
    /// Content that may still be delivered.
    room: usize,
    held: bool,
    mute: bool,
    owed: u64,
    /// Events and output not yet expected by the script.
    events: std::collections::VecDeque<Ev>,
    out: Vec<u8>,
    plan: Option<Plan>,
    got: Option<Reuse>,
    space: Vec<u8>,
    /// Whether the number of octets on the wire must not depend on the manner.
    exact: bool,
    closing: bool,
    ended: Option<End>,
    /// What happened at each line, to compare the manners.
    pub(crate) trace: Vec<(usize, String)>,
    note: String,
}

type Outcome = Result<(), String>;

impl<'c> Driver<'c> {
    pub(crate) fn new(case: &'c Case, manner: Manner, seed: u64) -> Result<Self, String> {
        let born = Instant::default();
        let conn = match case.role {
            Role::Server => {
                Conn::Server(server::Connection::new(&server_config(&case.config)?, born))
            }
            Role::Client => {
                Conn::Client(client::Connection::new(&client_config(&case.config)?, born))
            }
            Role::Relay => return Err("a relay is driven elsewhere".to_owned()),
        };
        Ok(Self {
            case,
            manner,
            random: Random(seed | 1),
            conn,
            now: born,
            unread: Vec::new(),
            room: usize::MAX,
            held: false,
            mute: false,
            owed: 0,
            events: std::collections::VecDeque::new(),
            out: Vec::new(),
            plan: None,
            got: None,
            space: vec![0; 1 << 20],
            exact: case.script.iter().any(|l| matches!(l.op, Op::Transmit(_))),
            closing: false,
            ended: None,
            trace: Vec::new(),
            note: String::new(),
        })
    }

    /// Runs the script; `at` is set to the line that is being run.
    pub(crate) fn run(&mut self, at: &std::cell::Cell<usize>) -> Result<(), Fault> {
        let mut cause = self.case.line;
        let mut skip = false;
        for (i, line) in self.case.script.iter().enumerate() {
            at.set(line.number);
            if std::mem::take(&mut skip) {
                continue;
            }
            let fault = |what| Fault { line: line.number, what };
            if !matches!(line.op, Op::Out(_) | Op::Event(_) | Op::Unread(_) | Op::Is(..)) {
                self.nothing_left().map_err(|what| Fault { line: cause, what })?;
                cause = line.number;
            }
            let next = self.case.script.get(i + 1);
            skip = self.step(line, next).map_err(fault)?;
            self.check(&line.op).map_err(fault)?;
            let state = format!(
                "{}deadline {:?} wants {} end {} {:?} owed-zero {}",
                std::mem::take(&mut self.note),
                self.conn.deadline(),
                show_wants(&self.conn.wants()),
                show_end(self.conn.wants().end),
                self.conn.persistence(),
                self.owed == 0,
            );
            self.trace.push((line.number, state));
        }
        self.nothing_left().map_err(|what| Fault { line: cause, what })
    }

    fn nothing_left(&self) -> Outcome {
        if let Some(event) = self.events.front() {
            return Err(format!("not expected here: event {event}"));
        }
        if !self.out.is_empty() {
            return Err(format!("not expected here: > {}", text(&self.out)));
        }
        Ok(())
    }

    /// One line of the script. Says whether the next line is dealt with too.
    fn step(&mut self, line: &Line, next: Option<&Line>) -> Result<bool, String> {
        match &line.op {
            Op::At { at, late, back } => {
                if (*at < self.now) != *back {
                    return Err("time runs backwards".to_owned());
                }
                let due = self.conn.deadline().filter(|d| d.at < *at);
                let expire = next.is_some_and(|n| matches!(n.op, Op::Expire));
                if let Some(d) = due
                    && !late
                    && !expire
                {
                    return Err(format!(
                        "a deadline would be passed over: {} {}",
                        d.timer.name(),
                        show(d.at)
                    ));
                }
                self.now = *at;
            }
            Op::Feed(bytes) => self.feed(bytes)?,
            Op::Eof => {
                both!(&mut self.conn, c => c.received_eof(self.now));
                self.pump()?;
            }
            Op::Lost(how) => {
                if *how == Lost::Write {
                    self.owed = 0;
                }
                both!(&mut self.conn, c => c.lost(self.now, *how));
                self.pump()?;
            }
            Op::Expire => {
                self.conn.expire(self.now);
                if let Some(d) = self.conn.deadline()
                    && d.at <= self.now
                {
                    return Err(format!("still due after expire: {d:?}"));
                }
                self.pump()?;
            }
            Op::Room(n) => {
                self.room = *n;
                self.pump()?;
            }
            Op::Hold => self.held = true,
            Op::Mute(on) => {
                self.mute = *on;
                self.pump()?;
            }
            Op::Release => {
                self.held = false;
                self.transmit(self.owed);
                self.pump()?;
            }
            Op::Transmit(n) => {
                if *n > self.owed {
                    return Err(format!("only {} octets wait", self.owed));
                }
                self.transmit(*n);
                self.pump()?;
            }
            Op::Do(call) => return self.act(call, next),
            Op::Out(bytes) => {
                if !self.out.starts_with(bytes) {
                    return Err(format!(
                        "expected > {}\n      actual   > {}",
                        text(bytes),
                        text(&self.out)
                    ));
                }
                self.out.drain(..bytes.len());
            }
            Op::Event(tokens) => {
                let times = match tokens.last() {
                    Some(Token::Word(w)) if tokens.len() > 1 && w.starts_with('x') => {
                        w[1..].parse::<usize>().ok()
                    }
                    _ => None,
                };
                let tokens = &tokens[..tokens.len() - usize::from(times.is_some())];
                for _ in 0..times.unwrap_or(1) {
                    match self.events.pop_front() {
                        Some(event) if event.matches(tokens) => {}
                        Some(event) => {
                            return Err(format!(
                                "expected {}\n      actual   event {event}",
                                line.text
                            ));
                        }
                        None => {
                            return Err(format!("expected {}\n      actual   no event", line.text));
                        }
                    }
                }
            }
            Op::Unread(bytes) => {
                if self.unread != *bytes {
                    return Err(format!("actual   unread {}", text(&self.unread)));
                }
            }
            Op::Is(what, expected) => self.compare(what, expected)?,
            Op::FeedUp(_) | Op::EofUp | Op::OutUp(_) => return Err("only for relays".to_owned()),
        }
        Ok(false)
    }

    /// Compares a state with what the case says of it.
    fn compare(&mut self, what: &str, expected: &str) -> Outcome {
        let actual = match what {
            "deadline" => match self.conn.deadline() {
                None => vec!["none".to_owned()],
                Some(d) => {
                    let (name, at) = (d.timer.name(), show(d.at));
                    let mut all = vec![format!("{name} {at}"), name.to_owned()];
                    if let Some((n, t)) = expected.split_once(" >")
                        && n == name
                        && d.at > instant(t)?
                    {
                        all.push(expected.to_owned());
                    }
                    all
                }
            },
            "end" => {
                let end = show_end(self.conn.wants().end);
                let kind = end.split(' ').next().unwrap_or_default().to_owned();
                vec![end, kind]
            }
            "wants" => vec![show_wants(&self.conn.wants())],
            "verdict" => match self.conn.persistence() {
                Persistence::Close(r) => vec![format!("close {}", r.name()), "close".to_owned()],
                Persistence::Persist { remaining } => {
                    let n = remaining.map_or("any".to_owned(), |n| n.to_string());
                    vec![format!("persist {n}"), "persist".to_owned()]
                }
            },
            "retry" => {
                let (nth, _) = expected.split_once(' ').ok_or("retry N ...")?;
                let index: usize = int(nth)?;
                let Conn::Client(c) = &self.conn else { return Err("clients only".to_owned()) };
                match c.retry(index) {
                    None => vec![format!("{nth} none")],
                    Some(retry) => {
                        let verdict = match retry.verdict {
                            Verdict::Safe => "safe",
                            Verdict::IfIdempotent => "if_idempotent",
                            Verdict::No => "no",
                        };
                        let allowed = if retry.allows(true) { "allowed" } else { "refused" };
                        if retry.allows(false) {
                            return Err("allowed without content to replay".to_owned());
                        }
                        vec![format!("{nth} {verdict} {allowed}"), format!("{nth} {verdict}")]
                    }
                }
            }
            "reuse" => {
                let Conn::Client(c) = &self.conn else { return Err("clients only".to_owned()) };
                show_reuse(c.reuse(self.now))
            }
            "got" => show_reuse(self.got.ok_or("nothing was checked out")?),
            "plan" => vec![show_plan(self.plan.ok_or("nothing was started")?)],
            "idle" => {
                let Conn::Server(c) = &self.conn else { return Err("servers only".to_owned()) };
                vec![if c.is_idle() { "yes" } else { "no" }.to_owned()]
            }
            "requests" => match &self.conn {
                Conn::Server(c) => vec![c.requests().to_string()],
                Conn::Client(_) => return Err("servers only".to_owned()),
            },
            "run" => vec![both!(&self.conn, c => c.content_run()).to_string()],
            "untransmitted" => vec![both!(&self.conn, c => c.untransmitted()).to_string()],
            "outstanding" => match &self.conn {
                Conn::Client(c) => vec![c.outstanding().to_string()],
                Conn::Server(_) => return Err("clients only".to_owned()),
            },
            "fits" => {
                let (space, _) = expected.split_once(' ').ok_or("fits SPACE ROOM")?;
                let room = both!(&self.conn, c => c.fits(int(space)?));
                vec![format!("{space} {room}")]
            }
            "error" => return Err("actual   no error".to_owned()),
            _ => return Err(format!("unknown question: {what}")),
        };
        if actual.iter().any(|a| a == expected) {
            Ok(())
        } else {
            Err(format!("expected {what} {expected}\n      actual   {what} {}", actual[0]))
        }
    }

    // ---- bytes in ----

    fn feed(&mut self, bytes: &[u8]) -> Outcome {
        let mut rest = bytes;
        while !rest.is_empty() {
            let n = self.manner.cut(&mut self.random, rest.len());
            let (now, later) = rest.split_at(n);
            rest = later;
            self.unread.extend(now);
            self.pump()?;
        }
        Ok(())
    }

    /// What a driver does after every change: receives until nothing comes, and writes what the
    /// machine has to say.
    fn pump(&mut self) -> Outcome {
        for _ in 0..100_000 {
            let mut moved = self.receive()?;
            if self.conn.wants().emit && !self.mute {
                let now = self.now;
                let written = self.write(
                    |conn, out| match conn {
                        Conn::Server(c) => c.emit(now, out),
                        Conn::Client(_) => Ok(0),
                    },
                    |n| *n,
                );
                match written {
                    Ok(0) => return Err("wants emit, and writes nothing".to_owned()),
                    Ok(_) => moved = true,
                    Err(Stop::Refused(e)) => return Err(format!("emit: {e}")),
                    Err(Stop::Fault(e)) => return Err(e),
                }
            }
            if !moved {
                return Ok(());
            }
        }
        Err("no end of receiving".to_owned())
    }

    fn receive(&mut self) -> Result<bool, String> {
        let mut moved = false;
        loop {
            let step = self.conn.receive(self.now, &self.unread, self.room);
            if step.consumed > self.unread.len() {
                return Err(format!("consumed {} of {}", step.consumed, self.unread.len()));
            }
            self.conn.check_invariants();
            self.unread.drain(..step.consumed);
            moved |= step.consumed > 0;
            let Some(event) = step.event else { break };
            moved = true;
            self.note.push_str(&match &event {
                Ev::Content(_) => String::new(),
                other => format!("{other}; "),
            });
            if let Ev::Content(new) = &event {
                if new.is_empty() {
                    return Err("an event of empty content".to_owned());
                }
                self.room = self.take(new.len())?;
            }
            match (self.events.back_mut(), event) {
                (Some(Ev::Content(old)), Ev::Content(new)) => old.extend(new),
                (_, event) => self.events.push_back(event),
            }
        }
        // None is a fixed point.
        let before = self.conn.clone();
        let step = self.conn.receive(self.now, &self.unread, self.room);
        if step.event.is_some() || step.consumed > 0 {
            return Err(format!("no fixed point: after None came {step:?}"));
        }
        if self.conn != before {
            return Err(format!("no fixed point: {before:?} became {:?}", self.conn));
        }
        Ok(moved)
    }

    fn take(&self, n: usize) -> Result<usize, String> {
        match self.room {
            usize::MAX => Ok(usize::MAX),
            room => room.checked_sub(n).ok_or_else(|| format!("{n} octets in a room of {room}")),
        }
    }

    // ---- bytes out ----

    /// Calls with output space: in plenty, or exactly as much as is asked for.
    fn write<T>(
        &mut self,
        mut call: impl FnMut(&mut Conn, &mut [u8]) -> Result<T, SendError>,
        written: impl Fn(&T) -> usize,
    ) -> Result<T, Stop> {
        let mut size = if self.manner.tight() { 0 } else { self.space.len() };
        loop {
            let before = self.conn.clone();
            let space = self.space.get_mut(..size).ok_or("too little space".to_owned())?;
            match call(&mut self.conn, space) {
                Ok(done) => {
                    let n = written(&done);
                    if n > size {
                        return Err(Stop::Fault(format!("wrote {n} into {size}")));
                    }
                    let bytes = self.space[..n].to_vec();
                    self.wrote(&bytes);
                    return Ok(done);
                }
                Err(e) => {
                    if self.conn != before {
                        return Err(Stop::Fault(format!("{e:?} changed the connection")));
                    }
                    match e {
                        SendError::Short { needed } if needed > size && size == 0 => size = needed,
                        SendError::Short { needed } => {
                            return Err(Stop::Fault(format!("with {size}: {needed} needed")));
                        }
                        other => return Err(Stop::Refused(other)),
                    }
                }
            }
        }
    }

    fn wrote(&mut self, bytes: &[u8]) {
        self.out.extend(bytes);
        self.note.push_str(&format!("> {} ", bytes.escape_ascii()));
        self.owe(bytes.len() as u64);
    }

    fn owe(&mut self, n: u64) {
        self.owed += n;
        if !self.held {
            self.transmit(self.owed);
        }
    }

    fn transmit(&mut self, n: u64) {
        let mut left = n;
        while left > 0 {
            let piece = if self.manner.tight() { left.min(5000) } else { left };
            both!(&mut self.conn, c => c.transmitted(self.now, piece));
            left -= piece;
        }
        self.owed -= n;
    }

    /// Sends content by whatever means; on the record it is one piece.
    fn send(&mut self, content: &[u8]) -> Result<(), Stop> {
        let chunked = self.plan == Some(Plan::Chunked);
        if self.manner == Manner::Framed {
            let before = self.conn.clone();
            let frame = both!(&mut self.conn, c => c.frame(self.now, content.len() as u64));
            if frame.is_err() && self.conn != before {
                return Err(Stop::Fault("frame: an error changed the connection".to_owned()));
            }
            let frame = frame?;
            let n = frame.content as usize;
            if n != 0 && n != content.len() {
                return Err(Stop::Fault(format!("a frame for {n} of {}", content.len())));
            }
            let bytes = [&frame.prefix, &content[..n], frame.suffix].concat();
            if frame.total() != bytes.len() as u64 {
                return Err(Stop::Fault(format!("a frame of {} in all: {frame:?}", bytes.len())));
            }
            self.wrote(&bytes);
            return Ok(());
        }
        let mut rest = content;
        let mut size = if self.manner.tight() && !self.exact { 1 } else { self.space.len() };
        let mut pieces = Vec::new();
        loop {
            let before = self.conn.clone();
            let space = self.space.get_mut(..size).ok_or("too little space".to_owned())?;
            match self.conn.send(self.now, rest, space) {
                Ok(moved) if moved.taken > rest.len() || moved.written > size => {
                    return Err(Stop::Fault(format!("{moved:?} of {} in {size}", rest.len())));
                }
                Ok(moved) => {
                    let bytes = &self.space[..moved.written];
                    let (taken, later) = rest.split_at(moved.taken);
                    if chunked && moved.written > 0 {
                        let size = format!("{:x}\r\n", taken.len());
                        if bytes != [size.as_bytes(), taken, b"\r\n"].concat() {
                            return Err(Stop::Fault(format!("not a chunk: {}", text(bytes))));
                        }
                        pieces.extend(taken);
                    } else {
                        pieces.extend(bytes);
                    }
                    self.owe(moved.written as u64);
                    rest = later;
                    if rest.is_empty() {
                        break;
                    }
                    if moved.taken == 0 {
                        if self.conn != before {
                            return Err(Stop::Fault("nothing moved, but a change".to_owned()));
                        }
                        size += 1;
                    }
                }
                Err(SendError::Short { needed }) if needed > size => size = needed,
                Err(e) => {
                    if self.conn != before {
                        return Err(Stop::Fault(format!("{e:?} changed the connection")));
                    }
                    return Err(e.into());
                }
            }
        }
        // Chunks are put together again, so that the record does not depend on how they were cut.
        let record = match (chunked, pieces.is_empty()) {
            (true, false) => {
                [format!("{:x}\r\n", pieces.len()).as_bytes(), &pieces, b"\r\n"].concat()
            }
            _ => pieces,
        };
        self.out.extend(&record);
        self.note.push_str(&format!("> {} ", record.escape_ascii()));
        Ok(())
    }

    // ---- the application ----

    fn act(&mut self, call: &Call, next: Option<&Line>) -> Result<bool, String> {
        let expected = match next.map(|l| &l.op) {
            Some(Op::Is(what, text)) if what == "error" => Some(text),
            _ => None,
        };
        match (self.call(call), expected) {
            (Ok(()), None) => {}
            (Ok(()), Some(e)) => {
                return Err(format!("expected error {e}\n      actual   no error"));
            }
            (Err(Stop::Refused(e)), Some(expected)) => {
                let actual = show_error(e);
                if !actual.contains(expected) {
                    return Err(format!(
                        "expected error {expected}\n      actual   error {}",
                        actual[0]
                    ));
                }
            }
            (Err(Stop::Refused(e)), None) => return Err(format!("refused: {e:?} ({e})")),
            (Err(Stop::Fault(e)), _) => return Err(e),
        }
        self.conn.check_invariants();
        self.pump()?;
        Ok(expected.is_some())
    }

    fn call(&mut self, call: &Call) -> Result<(), Stop> {
        let now = self.now;
        let start = |s: &Started| s.written;
        match call {
            Call::ReadContent => self.conn.server()?.read_content(now),
            Call::SkipContent => both!(&mut self.conn, c => c.skip_content(now)),
            Call::WriteClosed => both!(&mut self.conn, c => c.write_closed(now)),
            Call::Abort => both!(&mut self.conn, c => c.abort(now)),
            Call::Retire(why) => both!(&mut self.conn, c => c.retire(now, *why)),
            Call::Bypassed(n) => {
                let run = both!(&self.conn, c => c.content_run());
                if run < *n {
                    return Err(Stop::Fault(format!("only {run} octets may be spliced")));
                }
                both!(&mut self.conn, c => c.bypassed(now, *n));
            }
            Call::Inform(status, fields) => {
                self.conn.server()?;
                self.write(
                    |conn, out| match conn {
                        Conn::Server(c) => c.inform(now, *status, lines(fields), out),
                        Conn::Client(_) => Ok(0),
                    },
                    |n| *n,
                )?;
            }
            Call::Reply(status, content, fields) => {
                self.conn.server()?;
                self.write(
                    |conn, out| match conn {
                        Conn::Server(c) => c.reply(now, *status, lines(fields), content, out),
                        Conn::Client(_) => Ok(0),
                    },
                    |n| *n,
                )?;
            }
            Call::Respond(status, content, fields) => {
                self.conn.server()?;
                let started = self.write(
                    |conn, out| match conn {
                        Conn::Server(c) => c.respond(now, *status, lines(fields), *content, out),
                        Conn::Client(_) => Err(SendError::NotNow),
                    },
                    start,
                )?;
                self.plan = Some(started.plan);
            }
            Call::Send(content) => self.send(content)?,
            Call::Finish(fields) => {
                self.write(
                    |conn, out| both!(conn, c => c.finish(now, lines(fields), out)),
                    |n| *n,
                )?;
            }
            Call::Request { method, target, content, fields } => {
                self.conn.client()?;
                let content: Content = *content;
                let started = self.write(
                    |conn, out| match conn {
                        Conn::Client(c) => {
                            c.request(now, method, target, lines(fields), content, out)
                        }
                        Conn::Server(_) => Err(SendError::NotNow),
                    },
                    start,
                )?;
                self.plan = Some(started.plan);
            }
            Call::Checkout(io, bytes) => {
                self.unread.extend(bytes);
                let unread = std::mem::take(&mut self.unread);
                let got = self.conn.client()?.checkout(now, *io, &unread);
                // What was unread were empty lines, if the connection is good.
                if !matches!(got, Reuse::Ready { .. } | Reuse::ImmediateOnly) {
                    self.unread = unread;
                }
                self.got = Some(got);
            }
        }
        Ok(())
    }

    // ---- what holds at every moment ----

    fn check(&mut self, op: &Op) -> Outcome {
        self.conn.check_invariants();
        // A deadline that fires early changes nothing.
        if self.conn.deadline().is_none_or(|d| d.at > self.now) {
            let mut other = self.conn.clone();
            other.expire(self.now);
            if other != self.conn {
                return Err(format!("expire with nothing due: {:?} became {other:?}", self.conn));
            }
        }
        // Close is final, and so is the end.
        let closing = !self.conn.persistence().persists();
        if self.closing && !closing {
            return Err("it persists again".to_owned());
        }
        self.closing = closing;
        let end = self.conn.wants().end;
        if let Some(old @ (End::Close(_) | End::Abort(_) | End::Tunnel)) = self.ended
            && end != Some(old)
            && !matches!(op, Op::Lost(_) | Op::Do(Call::Abort))
        {
            return Err(format!("the end changed: {} to {}", show_end(self.ended), show_end(end)));
        }
        self.ended = end;
        Ok(())
    }
}
