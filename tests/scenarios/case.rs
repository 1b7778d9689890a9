//! The case files of `tests/cases/scenarios`: see the README there for the format.

use keepalive::{Content, Instant, Io, Lost, Retire};
use std::path::Path;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Server,
    Client,
    /// Both, with `forward` between them.
    Relay,
}

#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) title: String,
    /// The numbers of SEMANTICS, section 10, that stand in front of the title.
    pub(crate) numbers: Vec<u32>,
    pub(crate) role: Role,
    /// Too long for anything but one run.
    pub(crate) whole_only: bool,
    /// Words of the `config:` lines.
    pub(crate) config: Vec<String>,
    pub(crate) script: Vec<Line>,
}

/// A line of a script.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) number: usize,
    pub(crate) text: String,
    pub(crate) op: Op,
}

#[derive(Clone, Debug)]
pub(crate) enum Op {
    // what happens
    At {
        at: Instant,
        late: bool,
        back: bool,
    },
    Feed(Vec<u8>),
    FeedUp(Vec<u8>),
    EofUp,
    Eof,
    Lost(Lost),
    Expire,
    Room(usize),
    Hold,
    /// Whether `emit` is not called.
    Mute(bool),
    Transmit(u64),
    Release,
    Do(Call),
    // what is expected
    Out(Vec<u8>),
    OutUp(Vec<u8>),
    Event(Vec<Token>),
    Unread(Vec<u8>),
    /// Compared as text: what is asked about, and what is expected.
    Is(String, String),
}

/// A call of the application.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    ReadContent,
    SkipContent,
    WriteClosed,
    Abort,
    Retire(Retire),
    Bypassed(u64),
    Inform(u16, Fields),
    Reply(u16, Vec<u8>, Fields),
    Respond(u16, Content, Fields),
    Send(Vec<u8>),
    Finish(Fields),
    Request { method: String, target: Vec<u8>, content: Content, fields: Fields },
    Checkout(Io, Vec<u8>),
}

pub(crate) type Fields = Vec<(String, Vec<u8>)>;

/// A piece of a line: a word, a `"text"`, or a `[Field: line]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Word(String),
    Text(Vec<u8>),
    Field(String, Vec<u8>),
}

type Result<T> = std::result::Result<T, String>;

/// Requests and responses that stand in many cases.
const NAMED: &[(&str, &str)] = &[
    ("G", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("G0", "GET / HTTP/1.0\r\n\r\n"),
    ("K0", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
    ("400", "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
    ("408", "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
    ("501", "HTTP/1.1 501 Not Implemented\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
    ("100", "HTTP/1.1 100 Continue\r\n\r\n"),
];

/// Undoes escapes: `\r \n \t \\ \" \] \xNN`, `{repeat N text}`, `{P N}` and the names above.
pub(crate) fn unescape(text: &str) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c == '\\' {
            let e = rest[1..].chars().next().ok_or("escape at the end")?;
            let (byte, len) = match e {
                'r' => (b'\r', 2),
                'n' => (b'\n', 2),
                't' => (b'\t', 2),
                '\\' | '"' | ']' | '{' => (e as u8, 2),
                'x' => {
                    let hex = rest.get(2..4).ok_or("short \\x")?;
                    (u8::from_str_radix(hex, 16).map_err(|e| e.to_string())?, 4)
                }
                _ => return Err(format!("unknown escape \\{e}")),
            };
            out.push(byte);
            rest = &rest[len..];
        } else if c == '{' {
            let end = rest.find('}').ok_or("{ without }")?;
            let inside = &rest[1..end];
            if let Some(repeat) = inside.strip_prefix("repeat ") {
                let (n, text) = repeat.split_once(' ').ok_or("{repeat N text}")?;
                let n: usize = n.parse().map_err(|_| "{repeat N text}")?;
                out.extend(unescape(text)?.repeat(n));
            } else if let Some(n) = inside.strip_prefix("P ") {
                let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {n}\r\n\r\n");
                out.extend(head.as_bytes());
            } else if let Some(n) = inside.strip_prefix("RC ") {
                let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ";
                out.extend(format!("{head}{n}\r\n\r\n").as_bytes());
            } else if let Some(n) = inside.strip_prefix("R ") {
                out.extend(format!("HTTP/1.1 200 OK\r\nContent-Length: {n}\r\n\r\n").as_bytes());
            } else {
                let named = NAMED.iter().find(|(name, _)| *name == inside);
                let (_, text) = named.ok_or_else(|| format!("unknown name {{{inside}}}"))?;
                out.extend(text.as_bytes());
            }
            rest = &rest[end + 1..];
        } else {
            out.extend(c.to_string().as_bytes());
            rest = &rest[c.len_utf8()..];
        }
    }
    Ok(out)
}

/// Splits a line into its pieces.
fn tokens(text: &str) -> Result<Vec<Token>> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(c) = rest.chars().next() {
        let closing = match c {
            '"' => Some('"'),
            '[' => Some(']'),
            _ => None,
        };
        if let Some(closing) = closing {
            let mut escaped = false;
            let end = rest[1..]
                .find(|c| {
                    let found = c == closing && !escaped;
                    escaped = c == '\\' && !escaped;
                    found
                })
                .ok_or_else(|| format!("no {closing} in: {rest}"))?;
            let inside = &rest[1..=end];
            out.push(if c == '"' {
                Token::Text(unescape(inside)?)
            } else {
                let (name, value) = inside.split_once(": ").ok_or("[Name: value]")?;
                Token::Field(name.to_owned(), unescape(value)?)
            });
            rest = rest[end + 2..].trim_start();
        } else {
            let end = rest.find(' ').unwrap_or(rest.len());
            out.push(Token::Word(rest[..end].to_owned()));
            rest = rest[end..].trim_start();
        }
    }
    Ok(out)
}

/// `75s`, `0.5s`, `1500ms`.
pub(crate) fn instant(text: &str) -> Result<Instant> {
    let bad = || format!("not a time: {text}");
    if let Some(ms) = text.strip_suffix("ms") {
        return Ok(Instant::from_millis(ms.parse().map_err(|_| bad())?));
    }
    let s = text.strip_suffix('s').ok_or_else(bad)?;
    let (whole, part) = s.split_once('.').unwrap_or((s, ""));
    let whole: u64 = whole.parse().map_err(|_| bad())?;
    let micros: u64 =
        if part.is_empty() { 0 } else { format!("{part:0<6}").parse().map_err(|_| bad())? };
    Ok(Instant::from_micros(whole * 1_000_000 + micros))
}

/// As [`instant`] reads it.
pub(crate) fn show(at: Instant) -> String {
    let us = at.as_micros();
    let text = format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T> {
    text.parse().map_err(|_| format!("not a number: {text}"))
}

/// The pieces of a call, by kind.
struct Args {
    words: std::vec::IntoIter<String>,
    text: Option<Vec<u8>>,
    fields: Fields,
}

impl Args {
    fn of(tokens: Vec<Token>) -> Self {
        let (mut words, mut text, mut fields) = (Vec::new(), None, Vec::new());
        for token in tokens {
            match token {
                Token::Word(w) => words.push(w),
                Token::Text(t) => text = Some(t),
                Token::Field(n, v) => fields.push((n, v)),
            }
        }
        Self { words: words.into_iter(), text, fields }
    }

    fn word(&mut self) -> Result<String> {
        self.words.next().ok_or_else(|| "a word is missing".to_owned())
    }

    fn number<T: std::str::FromStr>(&mut self) -> Result<T> {
        number(&self.word()?)
    }

    fn content(&mut self) -> Result<Content> {
        let word = self.words.next();
        match word.as_deref() {
            None | Some("none") => Ok(Content::None),
            Some("unknown") => Ok(Content::Unknown),
            Some(w) => match w.strip_prefix("length=") {
                Some(n) => Ok(Content::Length(number(n)?)),
                None => Err(format!("not none, unknown or length=N: {w}")),
            },
        }
    }
}

fn lost(word: &str) -> Result<Lost> {
    Ok(match word {
        "reset" => Lost::Reset,
        "write" => Lost::Write,
        "tls" => Lost::Tls,
        "truncated" => Lost::Truncated,
        _ => return Err(format!("not reset, write, tls or truncated: {word}")),
    })
}

fn call(text: &str) -> Result<Call> {
    let mut a = Args::of(tokens(text)?);
    let name = a.word()?;
    let call = match name.as_str() {
        "read_content" => Call::ReadContent,
        "skip_content" => Call::SkipContent,
        "write_closed" => Call::WriteClosed,
        "abort" => Call::Abort,
        "retire" => Call::Retire(match a.word()?.as_str() {
            "application" => Retire::Application,
            "drain" => Retire::Drain,
            "pressure" => Retire::Pressure,
            w => return Err(format!("not application, drain or pressure: {w}")),
        }),
        "bypassed" => Call::Bypassed(a.number()?),
        "inform" => Call::Inform(a.number()?, std::mem::take(&mut a.fields)),
        "reply" => {
            let status = a.number()?;
            Call::Reply(status, a.text.take().unwrap_or_default(), std::mem::take(&mut a.fields))
        }
        "respond" => {
            let status = a.number()?;
            Call::Respond(status, a.content()?, std::mem::take(&mut a.fields))
        }
        "send" => Call::Send(a.text.take().ok_or("send \"...\"")?),
        "finish" => Call::Finish(std::mem::take(&mut a.fields)),
        "request" => Call::Request {
            method: a.word()?,
            target: unescape(&a.word()?)?,
            content: a.content()?,
            fields: std::mem::take(&mut a.fields),
        },
        "checkout" => match a.words.next().as_deref() {
            None => Call::Checkout(Io::Nothing, Vec::new()),
            Some("eof") => Call::Checkout(Io::Done(0), Vec::new()),
            Some("read") => {
                let text = a.text.take().ok_or("checkout read \"...\"")?;
                Call::Checkout(Io::Done(text.len()), text)
            }
            Some("lost") => Call::Checkout(Io::Lost(lost(&a.word()?)?), Vec::new()),
            Some(w) => return Err(format!("unknown word: {w}")),
        },
        _ => return Err(format!("unknown call: {name}")),
    };
    match (a.words.next(), a.text, a.fields.is_empty()) {
        (None, None, true) => Ok(call),
        rest => Err(format!("what is this? {rest:?}")),
    }
}

fn op(text: &str) -> Result<Op> {
    let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
    let rest = rest.trim();
    Ok(match verb {
        "at" => {
            let (at, how) = rest.split_once(' ').unwrap_or((rest, ""));
            if !matches!(how, "" | "late" | "back") {
                return Err(format!("not late or back: {how}"));
            }
            Op::At { at: instant(at)?, late: how == "late", back: how == "back" }
        }
        "<" => Op::Feed(unescape(rest)?),
        ">" => Op::Out(unescape(rest)?),
        "<<" => Op::FeedUp(unescape(rest)?),
        ">>" => Op::OutUp(unescape(rest)?),
        "unread" => Op::Unread(unescape(rest)?),
        "eof" if rest == "up" => Op::EofUp,
        "eof" => Op::Eof,
        "lost" => Op::Lost(lost(rest)?),
        "expire" => Op::Expire,
        "room" => Op::Room(if rest == "all" { usize::MAX } else { number(rest)? }),
        "hold" => Op::Hold,
        "mute" => Op::Mute(true),
        "unmute" => Op::Mute(false),
        "release" => Op::Release,
        "transmit" => Op::Transmit(number(rest)?),
        "do" => Op::Do(call(rest)?),
        "event" => Op::Event(tokens(rest)?),
        "deadline" | "end" | "wants" | "verdict" | "retry" | "reuse" | "got" | "error" | "plan"
        | "idle" | "requests" | "run" | "fits" | "untransmitted" | "outstanding" | "up.end"
        | "up.verdict" | "up.deadline" => {
            let words: Vec<_> = rest.split_whitespace().collect();
            Op::Is(verb.to_owned(), words.join(" "))
        }
        _ => return Err(format!("unknown verb: {verb}")),
    })
}

/// The cases of one file.
pub(crate) fn parse(file: &str, text: &str) -> Result<Vec<Case>> {
    let mut cases: Vec<Case> = Vec::new();
    for (i, raw) in text.lines().enumerate() {
        let number = i + 1;
        let fault = |e: String| format!("{file}:{number}: {e}\n    {raw}");
        let line = raw.trim_end();
        if let Some(title) = line.strip_prefix("# ") {
            let numbers = title.split_once(':').map_or("", |(n, _)| n);
            let numbers: std::result::Result<Vec<u32>, _> =
                numbers.split(',').map(|n| n.trim().parse()).collect();
            cases.push(Case {
                file: file.to_owned(),
                line: number,
                title: title.to_owned(),
                numbers: numbers.unwrap_or_default(),
                role: Role::Server,
                whole_only: false,
                config: Vec::new(),
                script: Vec::new(),
            });
            continue;
        }
        let Some(case) = cases.last_mut() else { continue };
        let line = line.trim_start();
        if line.is_empty() || line.starts_with("//") || line.starts_with("rule: ") {
            continue;
        }
        if let Some(role) = line.strip_prefix("role: ") {
            case.role = match role {
                "server" => Role::Server,
                "client" => Role::Client,
                "relay" => Role::Relay,
                _ => return Err(fault(format!("unknown role {role}"))),
            };
        } else if line == "only: whole" {
            case.whole_only = true;
        } else if let Some(words) = line.strip_prefix("config: ") {
            case.config.extend(words.split_whitespace().map(str::to_owned));
        } else {
            let op = op(line).map_err(fault)?;
            // Bytes on lines that follow each other are one piece.
            match (case.script.last_mut().map(|l| &mut l.op), &op) {
                (Some(Op::Feed(a)), Op::Feed(b))
                | (Some(Op::FeedUp(a)), Op::FeedUp(b))
                | (Some(Op::Out(a)), Op::Out(b))
                | (Some(Op::OutUp(a)), Op::OutUp(b)) => {
                    a.extend(b);
                }
                _ => case.script.push(Line { number, text: line.to_owned(), op }),
            }
        }
    }
    Ok(cases)
}

/// All case files of a folder, in order.
pub(crate) fn load(folder: &Path) -> Result<Vec<Case>> {
    let entries = std::fs::read_dir(folder).map_err(|e| e.to_string())?;
    let mut files: Vec<_> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "case"));
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).map_err(|e| e.to_string())?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        cases.extend(parse(&name, &text)?);
    }
    Ok(cases)
}
