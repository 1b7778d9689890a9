//! A small intermediary, for the scenarios that need both sides: a server's connection towards the
//! client, a client's connection towards the next hop, and `forward` between them. It is what an
//! application would be, without buffers of its own.

use super::case::{Case, Line, Op, show};
use super::drive::{Fault, Manner, Random};
use super::settings::{client_config, server_config};
use super::show::{show_end, text};
use keepalive::forward::{self, Continue, Hop, Nominated};
use keepalive::{Instant, Io, NO_FIELDS, Persistence, Plan, SendError, Version, client, server};

/// What one side wrote, with content in chunks joined, so that it does not depend on the cuts.
#[derive(Default)]
struct Out {
    done: Vec<u8>,
    chunk: Vec<u8>,
}

impl Out {
    fn raw(&mut self, bytes: &[u8]) {
        self.close();
        self.done.extend(bytes);
    }

    fn close(&mut self) {
        if !self.chunk.is_empty() {
            let chunk = std::mem::take(&mut self.chunk);
            self.done.extend(format!("{:x}\r\n", chunk.len()).as_bytes());
            self.done.extend(chunk);
            self.done.extend(b"\r\n");
        }
    }

    fn expect(&mut self, arrow: &str, bytes: &[u8]) -> Result<(), String> {
        self.close();
        if !self.done.starts_with(bytes) {
            return Err(format!(
                "expected {arrow} {}\n      actual   {arrow} {}",
                text(bytes),
                text(&self.done)
            ));
        }
        self.done.drain(..bytes.len());
        Ok(())
    }
}

pub(crate) struct Relay<'c> {
    case: &'c Case,
    manner: Manner,
    random: Random,
    now: Instant,
    hop: Hop<'static>,
    down: server::Connection,
    up: client::Connection,
    down_unread: Vec<u8>,
    up_unread: Vec<u8>,
    down_out: Out,
    up_out: Out,
    space: Vec<u8>,
    // of the present exchange
    version: Version,
    down_plan: Plan,
    up_plan: Plan,
    /// What request and response nominate.
    nominated: [Nominated; 2],
    /// The request went on.
    forwarded: bool,
    /// The response head went back.
    answered: bool,
    awaits_100: bool,
    pub(crate) trace: Vec<(usize, String)>,
}

type Outcome = Result<(), String>;

fn said(e: SendError) -> String {
    format!("the relay was refused: {e:?}")
}

impl<'c> Relay<'c> {
    pub(crate) fn new(case: &'c Case, manner: Manner, seed: u64) -> Result<Self, String> {
        let of = |prefix: &str| -> Vec<String> {
            case.config.iter().filter_map(|w| Some(w.strip_prefix(prefix)?.to_owned())).collect()
        };
        let mut hop = Hop::to_origin("edge").ok_or("pseudonym")?;
        for word in of("hop=") {
            hop = match word.as_str() {
                "proxy" => Hop::to_proxy("edge").ok_or("pseudonym")?,
                "http10" => hop.http10(true),
                _ => return Err(format!("unknown hop: {word}")),
            };
        }
        let born = Instant::default();
        Ok(Self {
            case,
            manner,
            random: Random(seed | 1),
            now: born,
            hop,
            down: server::Connection::new(&server_config(&of("down."))?, born),
            up: client::Connection::new(&client_config(&of("up."))?.gateway(true), born),
            down_unread: Vec::new(),
            up_unread: Vec::new(),
            down_out: Out::default(),
            up_out: Out::default(),
            space: vec![0; 1 << 17],
            version: Version::HTTP_11,
            down_plan: Plan::None,
            up_plan: Plan::None,
            nominated: [Nominated::NONE; 2],
            forwarded: false,
            answered: false,
            awaits_100: false,
            trace: Vec::new(),
        })
    }

    pub(crate) fn run(&mut self, at: &std::cell::Cell<usize>) -> Result<(), Fault> {
        let mut cause = self.case.line;
        for line in &self.case.script {
            at.set(line.number);
            if !matches!(line.op, Op::Out(_) | Op::OutUp(_) | Op::Unread(_) | Op::Is(..)) {
                self.nothing_left().map_err(|what| Fault { line: cause, what })?;
                cause = line.number;
            }
            self.step(line).map_err(|what| Fault { line: line.number, what })?;
            self.down_out.close();
            self.up_out.close();
            let state = format!(
                "down {} {:?} {:?}, up {} {:?} {:?}, out {} {}",
                show_end(self.down.wants().end),
                self.down.persistence(),
                self.down.deadline(),
                show_end(self.up.wants().end),
                self.up.persistence(),
                self.up.deadline(),
                self.down_out.done.escape_ascii(),
                self.up_out.done.escape_ascii(),
            );
            self.trace.push((line.number, state));
        }
        self.nothing_left().map_err(|what| Fault { line: cause, what })
    }

    fn nothing_left(&mut self) -> Outcome {
        for (arrow, out) in [(">", &mut self.down_out), (">>", &mut self.up_out)] {
            out.close();
            if !out.done.is_empty() {
                return Err(format!("not expected here: {arrow} {}", text(&out.done)));
            }
        }
        Ok(())
    }

    fn step(&mut self, line: &Line) -> Outcome {
        match &line.op {
            Op::At { at, .. } => self.now = *at,
            Op::Expire => {
                self.down.expire(self.now);
                self.up.expire(self.now);
                self.pump()?;
            }
            Op::Feed(bytes) => self.feed(bytes, false)?,
            Op::FeedUp(bytes) => self.feed(bytes, true)?,
            Op::Eof => {
                self.down.received_eof(self.now);
                self.pump()?;
            }
            Op::EofUp => {
                self.up.received_eof(self.now);
                self.pump()?;
            }
            Op::Lost(how) => {
                self.down.lost(self.now, *how);
                self.pump()?;
            }
            Op::Out(bytes) => self.down_out.expect(">", bytes)?,
            Op::OutUp(bytes) => self.up_out.expect(">>", bytes)?,
            Op::Unread(bytes) if self.down_unread != *bytes => {
                return Err(format!("actual   unread {}", text(&self.down_unread)));
            }
            Op::Unread(_) => {}
            Op::Is(what, expected) => {
                let (up, what) = match what.strip_prefix("up.") {
                    Some(what) => (true, what),
                    None => (false, what.as_str()),
                };
                let (end, persistence, deadline) = if up {
                    (self.up.wants().end, self.up.persistence(), self.up.deadline())
                } else {
                    (self.down.wants().end, self.down.persistence(), self.down.deadline())
                };
                let actual = match what {
                    "end" => show_end(end),
                    "verdict" => match persistence {
                        Persistence::Persist { .. } => "persist".to_owned(),
                        Persistence::Close(r) => format!("close {}", r.name()),
                    },
                    "deadline" => deadline.map_or("none".to_owned(), |d| {
                        format!("{} {}", d.timer.name(), show(d.at))
                    }),
                    _ => return Err(format!("a relay is not asked about {what}")),
                };
                let kind = actual.split(' ').next().unwrap_or_default();
                if actual != *expected && kind != expected {
                    return Err(format!("expected {expected}\n      actual   {actual}"));
                }
            }
            _ => return Err("not for relays".to_owned()),
        }
        Ok(())
    }

    fn feed(&mut self, bytes: &[u8], up: bool) -> Outcome {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(self.manner.cut(&mut self.random, rest.len()));
            rest = later;
            if up { &mut self.up_unread } else { &mut self.down_unread }.extend(now);
            self.pump()?;
        }
        Ok(())
    }

    fn pump(&mut self) -> Outcome {
        for _ in 0..10_000 {
            let a = self.pump_down()?;
            let b = self.pump_up()?;
            if !a && !b {
                return Ok(());
            }
        }
        Err("no end of relaying".to_owned())
    }

    // ---- from the client ----

    fn pump_down(&mut self) -> Result<bool, String> {
        let mut moved = false;
        // The next hop, or a machine, is ready for the content.
        if self.awaits_100 && self.up.wants().content {
            self.awaits_100 = false;
            self.down.read_content(self.now);
            moved = true;
        }
        loop {
            let unread = std::mem::take(&mut self.down_unread);
            let taken = self.down_event(&unread);
            self.down_unread = unread;
            let (consumed, more) = taken?;
            self.down_unread.drain(..consumed);
            self.down.check_invariants();
            moved |= consumed > 0 || more;
            if !more {
                break;
            }
        }
        if self.down.wants().emit {
            let n = self.down.emit(self.now, &mut self.space).map_err(said)?;
            self.sent_down(n, Plan::None);
            moved = true;
        }
        Ok(moved)
    }

    fn down_event(&mut self, unread: &[u8]) -> Result<(usize, bool), String> {
        let now = self.now;
        // Content goes on only when the next hop can take it.
        let waiting = self.forwarded && !self.up.wants().content && self.up_plan != Plan::None;
        let step = self.down.receive(now, unread, if waiting { 0 } else { usize::MAX });
        let Some(event) = step.event else { return Ok((step.consumed, false)) };
        match event {
            server::Event::Request(head) => {
                self.version = head.version();
                (self.forwarded, self.answered, self.awaits_100) = (false, false, false);
                let hop = self.hop;
                let onward = match forward::request(&head, &hop) {
                    Ok(onward) => onward,
                    Err(refusal) => {
                        let status = refusal.status().unwrap_or(200);
                        self.reply(status)?;
                        return Ok((step.consumed, true));
                    }
                };
                let Some(content) = onward.content() else {
                    return Err("this relay collects nothing".to_owned());
                };
                self.nominated[0] = onward.nominated();
                // The first needs none, and is not harmed by it.
                let _ = self.up.checkout(now, Io::Nothing, &self.up_unread);
                let (method, target) = (onward.method(), onward.target());
                let out = &mut self.space;
                let begun = self.up.request(now, method, target, onward.lines(), content, out);
                let begun = begun.map_err(said)?;
                (self.forwarded, self.up_plan) = (true, begun.plan);
                let continues = onward.continues();
                self.sent_up(begun.written, Plan::None);
                match continues {
                    Continue::NotAsked => self.down.read_content(now),
                    Continue::Relayed => self.awaits_100 = true,
                    Continue::Own => {
                        let n = self.down.inform(now, 100, NO_FIELDS, &mut self.space);
                        self.sent_down(n.map_err(said)?, Plan::None);
                        self.down.read_content(now);
                    }
                }
            }
            server::Event::Content(bytes) if self.forwarded => {
                let mut rest = bytes;
                while !rest.is_empty() && self.up.wants().content {
                    let moved = self.up.send(now, rest, &mut self.space).map_err(said)?;
                    rest = &rest[moved.taken..];
                    self.sent_up(moved.written, self.up_plan);
                }
            }
            server::Event::End(trailers) if self.forwarded => {
                if self.up.wants().content {
                    let onward = forward::trailers(trailers, &self.nominated[0]);
                    let n = self.up.finish(now, onward, &mut self.space).map_err(said)?;
                    self.sent_up(n, Plan::None);
                }
                self.up_plan = Plan::None;
            }
            server::Event::Failed(_) if self.forwarded => self.up.abort(now),
            server::Event::Content(_) | server::Event::End(_) | server::Event::Failed(_) => {}
        }
        Ok((step.consumed, true))
    }

    fn reply(&mut self, status: u16) -> Outcome {
        let n = self.down.reply(self.now, status, NO_FIELDS, b"", &mut self.space).map_err(said)?;
        self.answered = true;
        self.sent_down(n, Plan::None);
        Ok(())
    }

    // ---- from the next hop ----

    fn pump_up(&mut self) -> Result<bool, String> {
        let mut moved = false;
        loop {
            let unread = std::mem::take(&mut self.up_unread);
            let taken = self.up_event(&unread);
            self.up_unread = unread;
            let (consumed, more) = taken?;
            self.up_unread.drain(..consumed);
            self.up.check_invariants();
            moved |= consumed > 0 || more;
            if !more {
                return Ok(moved);
            }
        }
    }

    fn up_event(&mut self, unread: &[u8]) -> Result<(usize, bool), String> {
        let now = self.now;
        let step = self.up.receive(now, unread, usize::MAX);
        let Some(event) = step.event else { return Ok((step.consumed, false)) };
        let hop = self.hop;
        match event {
            client::Event::Interim(head) => {
                let onward = forward::response(&head, &hop).map_err(|e| e.to_string())?;
                if onward.may_go_to(self.version) && self.down.wants().head {
                    let status = head.status();
                    let n = self.down.inform(now, status, onward.lines(), &mut self.space);
                    self.sent_down(n.map_err(said)?, Plan::None);
                }
            }
            client::Event::Response(head) => match forward::response(&head, &hop) {
                Ok(onward) if self.down.wants().head => {
                    // The next hop wants no more of the content: neither do we.
                    if self.up_plan != Plan::None && !self.up.wants().content {
                        self.down.skip_content(now);
                        self.up_plan = Plan::None;
                    }
                    let begun = self.down.respond(
                        now,
                        onward.status(),
                        onward.lines(),
                        onward.content(),
                        &mut self.space,
                    );
                    let begun = begun.map_err(said)?;
                    self.answered = true;
                    self.down_plan = begun.plan;
                    if onward.drops_content() {
                        self.up.skip_content(now);
                    }
                    self.nominated[1] = onward.nominated();
                    self.sent_down(begun.written, Plan::None);
                }
                Ok(_) => {}
                Err(refusal) => {
                    self.reply(refusal.status().unwrap_or(502))?;
                    self.up.abort(now);
                }
            },
            client::Event::Content(bytes) => {
                let mut rest = bytes;
                while !rest.is_empty() && self.down.wants().content {
                    let moved = self.down.send(now, rest, &mut self.space).map_err(said)?;
                    rest = &rest[moved.taken..];
                    self.sent_down(moved.written, self.down_plan);
                }
            }
            client::Event::End(trailers) => {
                if self.down.wants().content {
                    let nominated = self.nominated[1];
                    // A client of version 1.0 never sees them: the machine knows.
                    let onward = forward::trailers(trailers, &nominated);
                    let n = self.down.finish(now, onward, &mut self.space);
                    self.sent_down(n.map_err(said)?, Plan::None);
                }
            }
            client::Event::Failed(failure) => {
                if self.down.wants().head {
                    self.reply(forward::gateway_status(failure.kind))?;
                } else if self.answered && self.down.wants().content {
                    self.down.abort(now);
                }
            }
        }
        Ok((step.consumed, true))
    }

    // ---- bytes out ----

    fn sent_down(&mut self, n: usize, plan: Plan) {
        let bytes = self.space[..n].to_vec();
        Self::record(&mut self.down_out, &bytes, plan);
        self.down.transmitted(self.now, n as u64);
    }

    fn sent_up(&mut self, n: usize, plan: Plan) {
        let bytes = self.space[..n].to_vec();
        Self::record(&mut self.up_out, &bytes, plan);
        self.up.transmitted(self.now, n as u64);
    }

    fn record(out: &mut Out, bytes: &[u8], plan: Plan) {
        let data = |bytes: &[u8]| {
            let line = bytes.windows(2).position(|w| w == b"\r\n")?;
            Some(bytes.get(line + 2..bytes.len() - 2)?.to_vec())
        };
        match data(bytes) {
            Some(data) if plan == Plan::Chunked => out.chunk.extend(data),
            _ => out.raw(bytes),
        }
    }
}
