//! What a peer does: scripts, read from text or drawn from a seed, and written as text again.

use super::chance::Source;
use super::message::{Flaw, Framing, Request, Response};
use super::pieces;
use super::pipe::Side;
use super::text::{Token, escape, moment, number, show_moment, tokens, unescape};
use crate::time::Instant;
use core::fmt;
use core::time::Duration;
use std::prelude::v1::*;
use std::{format, vec};

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// The line, from 1; 0 where it is not known.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

impl ScriptError {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { line: 0, what: what.into() }
    }
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.what),
            n => write!(f, "line {n}: {}", self.what),
        }
    }
}

impl core::error::Error for ScriptError {}

/// One line of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Move {
    /// `< octets`: sends these.
    Send(Vec<u8>),
    /// `content octets`: the same, unless the last request was HEAD.
    Content(Vec<u8>),
    /// `> octets`: waits for exactly these.
    Expect(Vec<u8>),
    /// `response 200 to HEAD [Name: value]`: waits for a whole final response.
    Response {
        /// Its status; `*` for any.
        status: Option<u16>,
        /// The method of the request, which decides whether there is content.
        method: String,
        /// Lines that it must have.
        fields: Vec<(String, Vec<u8>)>,
    },
    /// `request GET /x [Name: value]`: waits for a whole request. `head …`: for its head.
    Request {
        /// Its method; `*` for any.
        method: Option<String>,
        /// Its target; `*` for any, so that `OPTIONS *` has to do with any.
        target: Option<String>,
        /// Lines that it must have.
        fields: Vec<(String, Vec<u8>)>,
        /// Its content too.
        whole: bool,
    },
    /// `at 5s`: waits for a moment, counted from the beginning of the connection.
    At(Instant),
    /// `pause 2s`: waits for so long.
    Pause(Duration),
    /// `eof`: sends no more, and goes on reading.
    Eof,
    /// `close`.
    Close,
    /// `reset`.
    Reset,
    /// `closed`: waits until the other side sends no more.
    Closed,
    /// `hold`: reads nothing from now on.
    Hold,
    /// `release`: reads again.
    Release,
}

/// What a peer does, line by line.
///
/// ```
/// use keepalive::testkit::Script;
/// let text = r"
/// ## A client that is slow to say what it wants
/// role: server
/// < GET / HT
/// pause 2s
/// < TP/1.1\r\nHost: a\r\n\r\n
/// response 200
/// eof
/// closed
/// ";
/// let script = &Script::parse(text)?[0];
/// assert_eq!(script.title, "A client that is slow to say what it wants");
/// assert_eq!(Script::parse(&script.to_string())?[0], *script);
/// # Ok::<(), keepalive::testkit::ScriptError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// What it is about.
    pub title: String,
    /// The side that the peer plays.
    pub side: Side,
    /// Whether what it waits for in vain only ends it: so for scripts that are drawn, which know
    /// nothing of the application.
    pub lenient: bool,
    /// What it does.
    pub moves: Vec<Move>,
}

/// Lines of case files that are about the machine and not about its peer.
const PASSED_OVER: &[&str] = &[
    "rule:",
    "config:",
    "only:",
    "do",
    "event",
    "expire",
    "room",
    "mute",
    "unmute",
    "transmit",
    "unread",
    "deadline",
    "end",
    "wants",
    "verdict",
    "retry",
    "reuse",
    "got",
    "error",
    "plan",
    "idle",
    "requests",
    "run",
    "fits",
    "untransmitted",
    "outstanding",
];

impl Script {
    /// An empty script of a peer on this side.
    #[must_use]
    pub fn new(title: impl Into<String>, side: Side) -> Self {
        Self { title: title.into(), side, lenient: false, moves: Vec::new() }
    }

    /// Reads scripts, in the [format](super#scripts) of this kit. The case files of the crate's own
    /// tests are read too: what the peer does in them.
    ///
    /// # Errors
    /// What is wrong, and in which line.
    pub fn parse(text: &str) -> Result<Vec<Self>, ScriptError> {
        let mut scripts: Vec<Option<Self>> = Vec::new();
        for (i, line) in text.lines().enumerate() {
            let line = line.trim();
            if let Some(title) = line.strip_prefix("# ") {
                scripts.push(Some(Self::new(title, Side::Client)));
                continue;
            }
            if line.is_empty() || line.starts_with("//") {
                continue;
            }
            let Some(slot) = scripts.last_mut() else { continue };
            let Some(script) = slot else { continue };
            match line {
                "role: server" => script.side = Side::Client,
                "role: client" => script.side = Side::Server,
                // Two machines at once, which no single peer can talk to.
                "role: relay" => *slot = None,
                "lenient: yes" => script.lenient = true,
                _ => script.line(line).map_err(|f| ScriptError { line: i + 1, ..f })?,
            }
        }
        Ok(scripts.into_iter().flatten().collect())
    }

    fn line(&mut self, line: &str) -> Result<(), ScriptError> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        let next = match verb {
            "<" => Move::Send(unescape(rest)?),
            "content" => Move::Content(unescape(rest)?),
            ">" => Move::Expect(unescape(rest)?),
            "response" => response(rest)?,
            "request" | "head" => request(rest, verb == "request")?,
            "at" => match rest.split_once(' ') {
                Some((_, "back")) => return Ok(()),
                Some((at, "late")) => Move::At(moment(at)?),
                _ => Move::At(moment(rest)?),
            },
            "pause" => Move::Pause(moment(rest)?.since(Instant::default())),
            "eof" => Move::Eof,
            "close" => Move::Close,
            "reset" => Move::Reset,
            "lost" if rest == "reset" => Move::Reset,
            "lost" if rest == "truncated" => Move::Eof,
            "lost" => return Ok(()),
            "closed" => Move::Closed,
            "hold" => Move::Hold,
            "release" => Move::Release,
            _ if PASSED_OVER.contains(&verb) => return Ok(()),
            _ => return Err(ScriptError::new(format!("unknown word: {verb}"))),
        };
        self.push(next);
        Ok(())
    }

    /// Adds a line. Octets on lines that follow each other are one piece.
    pub fn push(&mut self, next: Move) {
        match (self.moves.last_mut(), next) {
            (Some(Move::Send(all)), Move::Send(more))
            | (Some(Move::Content(all)), Move::Content(more))
            | (Some(Move::Expect(all)), Move::Expect(more)) => all.extend(more),
            (_, next) => self.moves.push(next),
        }
    }

    /// Without what it waits for: for a script whose expectations are those of another application.
    #[must_use]
    pub fn without_expectations(mut self) -> Self {
        let waits = |m: &Move| {
            matches!(m, Move::Expect(_) | Move::Response { .. } | Move::Closed)
                || matches!(m, Move::Request { .. })
        };
        let moves = std::mem::take(&mut self.moves);
        moves.into_iter().filter(|m| !waits(m)).for_each(|m| self.push(m));
        self
    }

    /// A client that a server may meet: mostly honest, sometimes slow, wrong, or gone.
    pub fn client(source: &mut Source<'_>) -> Self {
        let mut script = Self::new("a client, drawn", Side::Client);
        script.lenient = true;
        for _ in 0..=source.below(4) {
            let held = source.chance(25);
            if held {
                script.push(Move::Hold);
            }
            let (method, expects, octets) = match source.byte() {
                0..200 => {
                    let request = Request::draw(source);
                    let head = if request.expects() { request.head().len() } else { 0 };
                    (request.method, head, request.octets())
                }
                200..235 => ("POST", 0, source.pick(Flaw::REQUESTS).message(source)),
                _ => ("GET", 0, source.pick(pieces::REQUESTS).to_vec()),
            };
            script.send(source, &octets, expects);
            if held {
                script.push(Move::Pause(pause(source)));
                script.push(Move::Release);
            }
            if !source.chance(60) {
                let method = method.to_owned();
                script.push(Move::Response { status: None, method, fields: vec![] });
            }
            script.rest(source);
        }
        script.leave(source, b"POST /half HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\nhalf");
        script
    }

    /// A server that a client may meet.
    pub fn server(source: &mut Source<'_>) -> Self {
        let mut script = Self::new("a server, drawn", Side::Server);
        script.lenient = true;
        for _ in 0..=source.below(4) {
            let whole = !source.chance(25);
            script.push(Move::Request { method: None, target: None, fields: vec![], whole });
            script.rest(source);
            if source.chance(25) {
                let interim = source.pick(&[103, 100, 102]);
                script.push(Move::Send(format!("HTTP/1.1 {interim} I\r\n\r\n").into_bytes()));
            }
            match source.byte() {
                0..215 => {
                    let response = Response::draw(source, "GET");
                    script.send(source, &response.head(), 0);
                    script.push(Move::Content(response.body.octets()));
                    if response.body.framing == Framing::UntilClose {
                        script.push(Move::Close);
                        return script;
                    }
                }
                215..240 => script.push(Move::Send(source.pick(Flaw::RESPONSES).message(source))),
                _ => script.push(Move::Send(source.pick(pieces::RESPONSES).to_vec())),
            }
            script.rest(source);
        }
        script.leave(source, b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n");
        script
    }

    /// Octets, in one piece or in several, and content after a while where it waits for a 100.
    fn send(&mut self, source: &mut Source<'_>, octets: &[u8], head: usize) {
        let mut rest = octets;
        let mut first = head;
        for _ in 0..source.pick(&[0, 0, 0, 1, 2]) + u8::from(head > 0) {
            let n = if first > 0 { first } else { source.up_to(rest.len() as u64) as usize };
            let (piece, more) = rest.split_at(n.min(rest.len()));
            self.push(Move::Send(piece.to_vec()));
            let waits = Duration::from_millis(if first > 0 { 1_500 } else { 0 });
            self.push(Move::Pause(waits + pause(source)));
            rest = more;
            first = 0;
        }
        self.push(Move::Send(rest.to_vec()));
    }

    fn rest(&mut self, source: &mut Source<'_>) {
        match pause(source) {
            Duration::ZERO => {}
            pause => self.push(Move::Pause(pause)),
        }
    }

    /// How it ends: with a half of something, or with a word too many, or without a word.
    fn leave(&mut self, source: &mut Source<'_>, last: &[u8]) {
        if source.chance(50) {
            let n = 1 + source.up_to(last.len() as u64 - 1) as usize;
            self.push(Move::Send(last.get(..n).unwrap_or(last).to_vec()));
            self.rest(source);
        }
        let ends = [None, Some(Move::Eof), Some(Move::Close), Some(Move::Reset)];
        let at = source.below(4);
        if let Some(Some(end)) = ends.into_iter().nth(usize::from(at)) {
            self.push(end);
        }
    }
}

/// Mostly none; sometimes one that is longer than a timer.
fn pause(source: &mut Source<'_>) -> Duration {
    let ms = source.pick(&[0, 0, 0, 0, 0, 0, 10, 10, 900, 4_100, 31_000, 74_000, 90_000]);
    Duration::from_millis(ms)
}

fn fields_and_words(text: &str) -> Result<(Vec<String>, Vec<(String, Vec<u8>)>), ScriptError> {
    let (mut words, mut fields) = (Vec::new(), Vec::new());
    for token in tokens(text)? {
        match token {
            Token::Word(word) => words.push(word),
            Token::Field(name, value) => fields.push((name, value)),
            Token::Text(_) => return Err(ScriptError::new("no place for a text in quotes")),
        }
    }
    Ok((words, fields))
}

fn any(word: &str) -> Option<&str> {
    Some(word).filter(|w| *w != "*")
}

fn response(text: &str) -> Result<Move, ScriptError> {
    let (words, fields) = fields_and_words(text)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (status, method) = match words[..] {
        [] => ("*", "GET"),
        [status] => (status, "GET"),
        [status, "to", method] => (status, method),
        _ => return Err(ScriptError::new("not: response STATUS to METHOD [Name: value]")),
    };
    let status = any(status).map(number).transpose()?;
    Ok(Move::Response { status, method: method.to_owned(), fields })
}

fn request(text: &str, whole: bool) -> Result<Move, ScriptError> {
    let (words, fields) = fields_and_words(text)?;
    let (method, target) = match &words[..] {
        [] => ("*", "*"),
        [method] => (method.as_str(), "*"),
        [method, target] => (method.as_str(), target.as_str()),
        _ => return Err(ScriptError::new("not: request METHOD TARGET [Name: value]")),
    };
    let owned = |word| any(word).map(str::to_owned);
    Ok(Move::Request { method: owned(method), target: owned(target), fields, whole })
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# {}", self.title)?;
        let role = if self.side == Side::Client { "server" } else { "client" };
        writeln!(f, "role: {role}")?;
        if self.lenient {
            writeln!(f, "lenient: yes")?;
        }
        self.moves.iter().try_for_each(|m| writeln!(f, "{m}"))
    }
}

/// Octets on as many lines as they have.
fn lines(f: &mut fmt::Formatter<'_>, verb: &str, octets: &[u8]) -> fmt::Result {
    let mut pieces = octets.split_inclusive(|&b| b == b'\n').flat_map(|line| line.chunks(400));
    write!(f, "{verb} {}", escape(pieces.next().unwrap_or_default()))?;
    pieces.try_for_each(|piece| write!(f, "\n{verb} {}", escape(piece)))
}

fn bracketed(f: &mut fmt::Formatter<'_>, fields: &[(String, Vec<u8>)]) -> fmt::Result {
    fields.iter().try_for_each(|(name, value)| write!(f, " [{name}: {}]", escape(value)))
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(octets) => lines(f, "<", octets),
            Self::Content(octets) => lines(f, "content", octets),
            Self::Expect(octets) => lines(f, ">", octets),
            Self::Response { status, method, fields } => {
                let status = status.map_or("*".to_owned(), |n| n.to_string());
                write!(f, "response {status} to {method}")?;
                bracketed(f, fields)
            }
            Self::Request { method, target, fields, whole } => {
                let verb = if *whole { "request" } else { "head" };
                let (method, target) = (method.as_deref(), target.as_deref());
                write!(f, "{verb} {} {}", method.unwrap_or("*"), target.unwrap_or("*"))?;
                bracketed(f, fields)
            }
            Self::At(at) => write!(f, "at {}", show_moment(*at)),
            Self::Pause(span) => write!(f, "pause {}", show_moment(Instant::default() + *span)),
            Self::Eof => f.write_str("eof"),
            Self::Close => f.write_str("close"),
            Self::Reset => f.write_str("reset"),
            Self::Closed => f.write_str("closed"),
            Self::Hold => f.write_str("hold"),
            Self::Release => f.write_str("release"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_can_be_written_and_read() {
        for seed in 0..2_000 {
            let mut source = Source::seeded(seed);
            for script in [Script::client(&mut source), Script::server(&mut source)] {
                let text = script.to_string();
                let read = Script::parse(&text).unwrap_or_else(|e| panic!("{seed}: {e}\n{text}"));
                assert_eq!(read, [script], "{text}");
            }
        }
    }

    #[test]
    fn every_line_of_the_format_is_read_and_written() {
        let text = "# t\nrole: client\nrequest POST /x [A: b c]\nhead * *\n< a\\r\\n\n\
                    content b\n> c\nresponse 200 to HEAD [A: \\\"]\nresponse * to GET\nat 1.5s\n\
                    pause 0.002s\nhold\nrelease\neof\nclosed\nreset\nclose\n";
        let scripts = Script::parse(text).unwrap();
        assert_eq!(scripts.len(), 1);
        assert_eq!(scripts[0].to_string(), text);
        assert_eq!(scripts[0].side, Side::Server);
        let bare = scripts[0].clone().without_expectations();
        assert_eq!(bare.moves.len(), 9, "{bare}");

        let short =
            Script::parse("# a\nresponse\nrequest\n# b\nrole: relay\n<< x\n# c\neof").unwrap();
        assert_eq!(short.len(), 2);
        for wrong in ["what", "< \\q", "at x", "response 20x", "request a b c", "pause"] {
            let fault = Script::parse(&format!("# t\n\n{wrong}")).unwrap_err();
            assert_eq!(fault.line, 3, "{wrong}");
        }
    }
}
