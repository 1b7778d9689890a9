//! The case files of `tests/cases/scenarios`: see the README there for the format.

use keepalive::testkit;
use keepalive::{Content, Instant, Io, Lost, Retire};
use std::path::Path;

/// A piece of a line; and a moment, as [`instant`] reads it.
pub(crate) use keepalive::testkit::{Token, show_moment as show};

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

type Result<T> = std::result::Result<T, String>;

/// Undoes escapes and puts in what has a name: as in the scripts of the test kit.
pub(crate) fn unescape(text: &str) -> Result<Vec<u8>> {
    testkit::unescape(text).map_err(|e| e.what)
}

/// Splits a line into its pieces.
fn tokens(text: &str) -> Result<Vec<Token>> {
    testkit::tokens(text).map_err(|e| e.what)
}

/// `75s`, `0.5s`, `1500ms`.
pub(crate) fn instant(text: &str) -> Result<Instant> {
    testkit::moment(text).map_err(|e| e.what)
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
