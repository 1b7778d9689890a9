//! The attack suite: what is known to have broken others, and what this crate makes of it.
//!
//! The cases are data, in `tests/cases/attacks`; the README there describes the format. Most are
//! scripts as in `tests/scenarios.rs`, and run in the same manners: whole, byte by byte, at random
//! cuts, with little output space. Others go through `forward`, or must be refused by the encoder.
//!
//! `docs/04-vulnerabilities.md` is written from the cases: `UPDATE=1 cargo test --test attacks`.
#![allow(clippy::indexing_slicing, clippy::string_slice)]

#[path = "scenarios/case.rs"]
#[allow(dead_code)]
mod case;
#[path = "scenarios/conn.rs"]
#[allow(dead_code)]
mod conn;
#[path = "scenarios/drive.rs"]
#[allow(dead_code)]
mod drive;
#[path = "scenarios/event.rs"]
#[allow(dead_code)]
mod event;
#[path = "scenarios/settings.rs"]
#[allow(dead_code)]
mod settings;
#[path = "scenarios/show.rs"]
#[allow(dead_code)]
mod show;

use drive::{Driver, Manner};
use keepalive::forward::{self, Hop};
use keepalive::{
    Content, Instant, Kind, Line, NO_FIELDS, RequestFraming, RequestHead, SendError, Status,
    client, server,
};
use std::cell::Cell;
use std::fmt::Write as _;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Random cuts of each case.
const CUTS: u64 = 12;

type Result<T> = std::result::Result<T, String>;

// ---- the cases ----

/// A file: attacks of one class.
struct Class {
    /// The number and name of the file, without its ending.
    file: String,
    title: String,
    prose: String,
    attacks: Vec<Attack>,
}

struct Attack {
    title: String,
    /// CVE numbers, papers; or `none`.
    seen: String,
    /// What a weak parser does.
    weak: String,
    /// What this one does, where the expectations do not say it well enough.
    ours: Option<String>,
    /// The same, as the expectations say it.
    told: Vec<String>,
    how: How,
}

enum How {
    Script(Box<case::Case>),
    Forward(Forward),
    Send(Send),
}

/// A head that an intermediary is to pass on.
#[derive(Default)]
struct Forward {
    /// Of a response, the method of its request.
    response_to: Option<String>,
    head: Vec<u8>,
    /// What comes of it, line by line.
    expect: Vec<String>,
}

/// A message that the application wants to send.
#[derive(Default)]
struct Send {
    call: String,
    method: String,
    target: Vec<u8>,
    status: u16,
    reason: Option<Vec<u8>>,
    content: Option<Content>,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// The part that is refused.
    refused: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn classes() -> Vec<Class> {
    let entries = std::fs::read_dir(root().join("tests/cases/attacks")).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "case"));
    files.sort();
    let read = |file: &PathBuf| {
        let name = file.file_stem().unwrap().to_string_lossy();
        parse(&name, &std::fs::read_to_string(file).unwrap()).unwrap_or_else(|e| panic!("{e}"))
    };
    files.iter().map(read).collect()
}

/// One file: the title of the class, prose, and the attacks.
fn parse(file: &str, text: &str) -> Result<Class> {
    let mut parts = format!("\n{text}").split("\n# ").map(str::to_owned).collect::<Vec<_>>();
    let head = parts.remove(0);
    let (title, prose) = head.trim().split_once('\n').ok_or("a title and prose")?;
    let attacks = parts.iter().map(|part| {
        let fault = |e| format!("{file}: # {}\n  {e}", part.lines().next().unwrap_or_default());
        attack(file, part).map_err(fault)
    });
    Ok(Class {
        file: file.to_owned(),
        title: title.to_owned(),
        prose: prose.trim().to_owned(),
        attacks: attacks.collect::<Result<_>>()?,
    })
}

fn attack(file: &str, text: &str) -> Result<Attack> {
    let mut lines = text.lines().map(str::trim_end).filter(|l| !l.is_empty());
    let title = lines.next().unwrap_or_default().to_owned();
    let (mut seen, mut weak, mut ours) = (None, None, None);
    let mut rest = Vec::new();
    for line in lines {
        match line.split_once(": ") {
            Some(("seen", v)) => seen = Some(v.to_owned()),
            Some(("weak", v)) => weak = Some(v.to_owned()),
            Some(("ours", v)) => ours = Some(v.to_owned()),
            _ => rest.push(line),
        }
    }
    let mut told = Vec::new();
    let how = match rest.first().map(|l| l.split_once(": ").unwrap_or((l, ""))) {
        Some(("forward", what)) => How::Forward(forwarded(what, &rest[1..], &mut told)?),
        Some(("send", call)) => How::Send(sent(call, &rest[1..], &mut told)?),
        _ => {
            let script = expand(&rest, &mut told)?;
            let mut cases = case::parse(file, &format!("# {title}\n{script}"))?;
            How::Script(Box::new(cases.remove(0)))
        }
    };
    Ok(Attack {
        title,
        seen: seen.ok_or("a line `seen:`")?,
        weak: weak.ok_or("a line `weak:`")?,
        ours,
        told,
        how,
    })
}

/// A chunked request, and response, without their content.
const CHUNKED: &str = r"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
const CHUNKED_RESPONSE: &str = r"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
/// What the attacker wants to be taken for a message.
const REQUEST: &str = r"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
const RESPONSE: &str = r"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";

/// Names that stand for bytes, besides those of the scenarios.
const NAMED: [(&str, &str); 4] =
    [("{C}", CHUNKED), ("{RCH}", CHUNKED_RESPONSE), ("{X}", REQUEST), ("{RX}", RESPONSE)];

/// Writes out the short forms: see the README of the cases.
fn expand(lines: &[&str], told: &mut Vec<String>) -> Result<String> {
    let mut out = String::new();
    let mut now = Instant::default();
    for (i, line) in lines.iter().enumerate() {
        let line = NAMED.iter().fold((*line).to_owned(), |l, (name, text)| l.replace(name, text));
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["refused", kind, status] => {
                told.push(format!("{status}: {}", meant(kind)?));
                let status: u16 = status.parse().map_err(|_| "a status")?;
                let reason = keepalive::reason(status);
                let _ = write!(
                    out,
                    "event failed {kind} status={status}\n\
                     > HTTP/1.1 {status} {reason}\\r\\n\
                     Connection: close\\r\\nContent-Length: 0\\r\\n\\r\\n\n\
                     verdict close Refused\nend shutdown_write\n< {REQUEST}\nend shutdown_write\n\
                     do write_closed\n< {REQUEST}\neof\nend close Refused\n"
                );
            }
            ["broken", kind] => {
                told.push(format!("error: {}", meant(kind)?));
                let _ = write!(
                    out,
                    "event failed {kind}\nverdict close ResponseInvalid\n< {RESPONSE}\n\
                     do request GET /victim [Host: a]\nerror NotReady no ResponseInvalid\n"
                );
            }
            ["ask", ..] => {
                let method = words.get(1).unwrap_or(&"GET");
                let _ = write!(
                    out,
                    "do request {method} / [Host: a]\n\
                     > {method} / HTTP/1.1\\r\\nHost: a\\r\\nConnection: keep-alive\\r\\n\\r\\n\n"
                );
            }
            ["chunked"] => {
                let _ = write!(
                    out,
                    "< {CHUNKED}\nevent request POST / framing=chunked\ndo read_content\n"
                );
            }
            ["drip", "every", step, "until", end, ..] => {
                let piece = line.splitn(6, ' ').nth(5).ok_or("bytes to drip")?;
                let event = lines.get(i + 1).and_then(|next| next.strip_prefix("each "));
                let (step, end) = (case::instant(step)?, case::instant(end)?);
                while now + step.since(Instant::default()) <= end {
                    now = now + step.since(Instant::default());
                    let at = case::show(now);
                    let _ = write!(out, "at {at}\n< {piece}\n{}\n", event.unwrap_or_default());
                }
            }
            ["each", ..] => {}
            _ => {
                match words[..] {
                    ["at", at, ..] => now = case::instant(at)?,
                    ["error", ..] => {
                        told.push(format!("the call is refused: {}", words[1..].join(" ")))
                    }
                    ["verdict" | "end", _, reason] => tell_close(reason, told),
                    ["reuse" | "got", "no", reason] => tell_close(reason, told),
                    ["event", "failed", kind, ..] => told.push(format!("error: {}", meant(kind)?)),
                    _ => {}
                }
                let _ = writeln!(out, "{line}");
            }
        }
    }
    Ok(out)
}

fn meant(kind: &str) -> Result<String> {
    let known = Kind::ALL.iter().find(|k| k.name() == kind).ok_or(format!("no kind {kind}"))?;
    Ok(format!("{} ({})", known.text(), known.rule()))
}

fn tell_close(reason: &str, told: &mut Vec<String>) {
    let known = keepalive::CloseReason::ALL.iter().find(|r| r.name() == reason);
    if let Some(reason) = known {
        told.push(format!("closes: {} ({})", reason.text(), reason.rule()));
    }
}

/// `text` with the escapes undone.
fn bytes(text: &str) -> Result<Vec<u8>> {
    case::unescape(text)
}

fn forwarded(what: &str, lines: &[&str], told: &mut Vec<String>) -> Result<Forward> {
    let mut f = Forward::default();
    match what.split_whitespace().collect::<Vec<_>>()[..] {
        ["request"] => {}
        ["response", "to", method] => f.response_to = Some(method.to_owned()),
        _ => return Err(format!("not request, or response to METHOD: {what}")),
    }
    for line in lines {
        match line.split_once(' ') {
            Some(("<", text)) => f.head.extend(bytes(text)?),
            Some(("refusal", text)) => {
                told.push(format!("not forwarded: {text}"));
                f.expect.push(format!("refusal {text}"));
            }
            Some(("goes" | "content" | "target", _)) => f.expect.push((*line).to_owned()),
            _ => return Err(format!("what is this? {line}")),
        }
    }
    Ok(f)
}

fn sent(call: &str, lines: &[&str], told: &mut Vec<String>) -> Result<Send> {
    let mut s = Send { call: call.to_owned(), method: "GET".to_owned(), ..Send::default() };
    (s.target, s.status) = (b"/".to_vec(), 200);
    for line in lines {
        let (key, text) = line.split_once(' ').ok_or(format!("what is this? {line}"))?;
        match key {
            "method" => s.method = String::from_utf8(bytes(text)?).map_err(|e| e.to_string())?,
            "target" => s.target = bytes(text)?,
            "status" => s.status = text.parse().map_err(|_| "a status")?,
            "reason" => s.reason = Some(bytes(text)?),
            "content" if text == "unknown" => s.content = Some(Content::Unknown),
            "content" => s.content = Some(Content::Length(text.parse().map_err(|_| "a length")?)),
            "field" => {
                let (name, value) = text.split_once(": ").ok_or("field NAME: VALUE")?;
                s.fields.push((bytes(name)?, bytes(value)?));
            }
            "refused" => {
                told.push(format!("refused before a byte is written: {text}"));
                s.refused = text.to_owned();
            }
            _ => return Err(format!("what is this? {line}")),
        }
    }
    Ok(s)
}

// ---- running them ----

/// A seed for each case that does not change from run to run.
fn seed(title: &str, n: u64) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325 ^ n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    title.bytes().fold(start, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
}

impl Attack {
    /// How often it was run.
    fn run(&self) -> Result<u64> {
        match &self.how {
            How::Script(script) => run_script(script),
            How::Forward(f) => f.run(),
            How::Send(s) => s.run(),
        }
    }
}

fn run_script(script: &case::Case) -> Result<u64> {
    let named = [Manner::Whole, Manner::Bytes, Manner::Tight, Manner::TightBytes, Manner::Framed];
    let manners: Vec<_> = named.into_iter().chain((0..CUTS).map(Manner::Cut)).collect();
    let mut whole = None;
    for manner in &manners {
        let trace = run_once(script, *manner)?;
        let tight = matches!(manner, Manner::Tight | Manner::TightBytes);
        let whole = whole.get_or_insert_with(|| trace.clone());
        for ((number, a), (_, b)) in whole.iter().zip(&trace) {
            // What is written in pieces is put together differently.
            if a != b && !(tight && a.replace("> ", "") == b.replace("> ", "")) {
                let what = format!("differs from the whole:\n    {a}\n    {b}");
                return Err(fault(script, *number, *manner, &what));
            }
        }
    }
    Ok(manners.len() as u64)
}

fn run_once(script: &case::Case, manner: Manner) -> Result<Vec<(usize, String)>> {
    let at = Cell::new(script.line);
    let n = if let Manner::Cut(n) = manner { n } else { 0 };
    let done = catch_unwind(AssertUnwindSafe(|| {
        let new = Driver::new(script, manner, seed(&script.title, n));
        let mut driver = new.map_err(|what| (script.line, what))?;
        driver.run(&at).map_err(|f| (f.line, f.what))?;
        Ok(driver.trace)
    }));
    match done {
        Ok(Ok(trace)) => Ok(trace),
        Ok(Err((number, what))) => Err(fault(script, number, manner, &what)),
        Err(_) => Err(fault(script, at.get(), manner, "panic")),
    }
}

fn fault(script: &case::Case, number: usize, manner: Manner, what: &str) -> String {
    let line = script.script.iter().find(|l| l.number == number);
    let text: String = line.map_or("", |l| l.text.as_str()).chars().take(160).collect();
    format!("({manner:?}) at: {text}\n    {what}")
}

impl Forward {
    fn run(&self) -> Result<u64> {
        let cuts = 0..self.head.len();
        for cut in cuts.clone() {
            let got = self.judge(cut)?;
            if got != self.expect {
                let show = |lines: &[String]| lines.join("\n      ");
                let (got, expect) = (show(&got), show(&self.expect));
                return Err(format!("cut {cut}: got\n      {got}\n    expected\n      {expect}"));
            }
        }
        Ok(cuts.len() as u64)
    }

    /// Receives the head in two pieces and says what goes on.
    fn judge(&self, cut: usize) -> Result<Vec<String>> {
        let now = Instant::default();
        let hop = Hop::to_origin("edge").ok_or("a hop")?;
        if let Some(method) = &self.response_to {
            let mut up = client::Connection::new(&client::Config::direct(), now);
            let mut out = [0; 256];
            let host = [("Host", "a")];
            let started = up.request(now, method, "/", host, Content::None, &mut out);
            up.transmitted(now, started.map_err(|e| e.to_string())?.written as u64);
            let used = up.receive(now, &self.head[..cut], usize::MAX).consumed;
            let step = up.receive(now, &self.head[used..], usize::MAX);
            let Some(client::Event::Response(head)) = step.event else {
                return Err(format!("no response: {step:?}"));
            };
            return Ok(match forward::response(&head, &hop) {
                Err(refusal) => vec![refused(refusal)],
                Ok(onward) => goes(onward.lines(), Some(onward.content())),
            });
        }
        let mut down = server::Connection::new(&server::Config::origin(), now);
        let used = down.receive(now, &self.head[..cut], usize::MAX).consumed;
        let step = down.receive(now, &self.head[used..], usize::MAX);
        let Some(server::Event::Request(head)) = step.event else {
            return Err(format!("no request: {step:?}"));
        };
        Ok(match forward::request(&head, &hop) {
            Err(refusal) => vec![refused(refusal)],
            Ok(onward) => {
                behind(&head, &onward)?;
                let mut lines = goes(onward.lines(), onward.content());
                lines.insert(0, format!("target {}", onward.target().escape_ascii()));
                lines
            }
        })
    }
}

/// What goes on, sent and received once more: the server behind frames it as the one in front does.
fn behind(front: &RequestHead<'_>, onward: &forward::ForwardedRequest<'_>) -> Result<()> {
    let now = Instant::default();
    let Some(content) = onward.content() else { return Ok(()) };
    let mut up = client::Connection::new(&client::Config::direct(), now);
    let mut out = vec![0; 64 * 1024];
    let sent = up.request(now, onward.method(), onward.target(), onward.lines(), content, &mut out);
    out.truncate(sent.map_err(|e| format!("it cannot be sent: {e}"))?.written);
    let mut back = server::Connection::new(&server::Config::origin(), now);
    let step = back.receive(now, &out, usize::MAX);
    let Some(server::Event::Request(head)) = step.event else {
        return Err(format!("no request behind: {step:?}"));
    };
    // None, and a length of none, are the same octets.
    let framing = |head: &RequestHead<'_>| match head.framing() {
        RequestFraming::None => RequestFraming::Length(0),
        other => other,
    };
    if step.consumed != out.len() || framing(&head) != framing(front) {
        return Err(format!("framed otherwise behind: {:?} as {:?}", front, head));
    }
    Ok(())
}

fn refused(refusal: forward::Refusal) -> String {
    format!("refusal {} {}", refusal.name(), refusal.status().map_or(0, |s| s))
}

fn goes<'a>(lines: impl Iterator<Item = Line<'a>>, content: Option<Content>) -> Vec<String> {
    let mut told: Vec<String> = lines.map(|line| format!("goes {line:?}")).collect();
    told.push(match content {
        None => "content collected".to_owned(),
        Some(Content::None) => "content none".to_owned(),
        Some(Content::Length(n)) => format!("content {n}"),
        Some(Content::Unknown) => "content unknown".to_owned(),
    });
    told
}

impl Send {
    /// Makes the call with output space of any size: it is refused, and nothing changes.
    fn run(&self) -> Result<u64> {
        let refused = |got: std::result::Result<usize, SendError>, size: usize| match got {
            Err(SendError::Short { .. }) if size < 1024 => Ok(()),
            Err(e) if format!("{e:?}") == self.refused => Ok(()),
            other => Err(format!("with {size}: {other:?}")),
        };
        let sizes = (0..200).chain([1024]);
        for size in sizes.clone() {
            let mut out = vec![0; size];
            let now = Instant::default();
            if self.call.ends_with("request") {
                let mut conn = self.client()?;
                let before = conn.clone();
                refused(self.to_server(&mut conn, &mut out), size)?;
                unchanged(&conn, &before)?;
                // Nothing of it is left behind: the next message is sound.
                if self.call == "request" {
                    let sound = [("Host", "a")];
                    let sent = conn.request(now, "GET", "/", sound, Content::None, &mut [0; 99]);
                    sent.map_err(|e| format!("afterwards: {e}"))?;
                }
            } else {
                let mut conn = self.server()?;
                let before = conn.clone();
                refused(self.to_client(&mut conn, &mut out), size)?;
                unchanged(&conn, &before)?;
                if self.call != "trailers of a response" {
                    let sent = conn.reply(now, 200, NO_FIELDS, b"", &mut [0; 99]);
                    sent.map_err(|e| format!("afterwards: {e}"))?;
                }
            }
        }
        Ok(sizes.count() as u64)
    }

    fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.fields.iter().map(|(name, value)| Line { name, value })
    }

    /// A server that owes a response, or is in the middle of one.
    fn server(&self) -> Result<server::Connection> {
        let now = Instant::default();
        let mut conn = server::Connection::new(&server::Config::origin(), now);
        let head = format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", self.method);
        conn.receive(now, head.as_bytes(), usize::MAX);
        if self.call == "trailers of a response" {
            let begun = conn.respond(now, 200, NO_FIELDS, Content::Unknown, &mut [0; 99]);
            begun.map_err(|e| e.to_string())?;
        }
        Ok(conn)
    }

    fn to_client(
        &self,
        conn: &mut server::Connection,
        out: &mut [u8],
    ) -> std::result::Result<usize, SendError> {
        let now = Instant::default();
        let status = Status { code: self.status, reason: self.reason.as_deref() };
        match self.call.as_str() {
            "interim" => conn.inform(now, self.status, self.lines(), out),
            "trailers of a response" => conn.finish(now, self.lines(), out),
            _ => {
                let content = self.content.unwrap_or(Content::None);
                conn.respond(now, status, self.lines(), content, out).map(|s| s.written)
            }
        }
    }

    /// A client that may make a request, or is in the middle of one.
    fn client(&self) -> Result<client::Connection> {
        let now = Instant::default();
        let mut conn = client::Connection::new(&client::Config::direct(), now);
        if self.call == "trailers of a request" {
            let host = [("Host", "a")];
            let begun = conn.request(now, "POST", "/", host, Content::Unknown, &mut [0; 199]);
            begun.map_err(|e| e.to_string())?;
        }
        Ok(conn)
    }

    fn to_server(
        &self,
        conn: &mut client::Connection,
        out: &mut [u8],
    ) -> std::result::Result<usize, SendError> {
        let now = Instant::default();
        if self.call == "trailers of a request" {
            return conn.finish(now, self.lines(), out);
        }
        let content = self.content.unwrap_or(Content::None);
        let lines = self.lines();
        conn.request(now, &self.method, &self.target, lines, content, out).map(|s| s.written)
    }
}

fn unchanged<C: PartialEq + std::fmt::Debug>(conn: &C, before: &C) -> Result<()> {
    if conn == before { Ok(()) } else { Err(format!("changed: {before:?}\n  to {conn:?}")) }
}

// ---- the tests ----

/// Says something even where the harness captures output.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

#[test]
fn attacks_fail() {
    let only = std::env::var("ATTACK").ok();
    let (mut runs, mut count, mut wrong) = (0, 0, Vec::new());
    let classes = classes();
    let fail_fast = std::env::var_os("FAIL_FAST").is_some();
    std::panic::set_hook(Box::new(|_| {}));
    for class in &classes {
        for attack in &class.attacks {
            let name = format!("{}: # {}", class.file, attack.title);
            let enough = fail_fast && !wrong.is_empty();
            if enough || only.as_ref().is_some_and(|o| !name.contains(o)) {
                continue;
            }
            count += 1;
            match attack.run() {
                Ok(n) => runs += n,
                Err(e) => wrong.push(format!("{name}\n  {e}")),
            }
        }
    }
    let _ = std::panic::take_hook();
    say(&format!("attacks: {count} cases in {runs} runs"));
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_wrong_expectation_is_noticed() {
    let fails = |how: &str| {
        let text = format!("t\np\n# a\nseen: none\nweak: -\n{how}\n");
        parse("inline", &text).unwrap().attacks[0].run().unwrap_err()
    };
    assert!(fails("< {X}\nrefused HostMissing 400").contains("actual   event request"));
    assert!(fails("forward: request\n< {G}\nrefusal Loop 508").contains("goes Host: a"));
    assert!(fails("send: response\nrefused Invalid(Reason)").contains("Ok("));
    assert!(
        fails("send: response\nreason a\\n\nrefused Invalid(Status)").contains("Invalid(Reason)")
    );
}

#[test]
fn the_document_is_written_from_the_cases() {
    let path = root().join("docs/04-vulnerabilities.md");
    let text = document(&classes());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(old == text, "docs/04-vulnerabilities.md differs: UPDATE=1 cargo test --test attacks");
}

/// What stands before the classes.
const PREFACE: &str = "\
# Vulnerabilities of others

Attacks that are known to have worked on HTTP/1 software, and what this crate does when it meets them.
Written from the cases in `tests/cases/attacks` by `UPDATE=1 cargo test --test attacks`; a test fails when
they differ. Each case is run whole, byte by byte, at random cuts and with little output space. What is
refused closes the connection; a well-formed message follows it, and nothing may come of that.

`Seen in` names CVEs and papers where a case is known from them; they concern other software. `S8.3` and
the like are rules of this crate.
";

fn document(classes: &[Class]) -> String {
    let mut out = PREFACE.to_owned();
    let count: usize = classes.iter().map(|c| c.attacks.len()).sum();
    let _ = write!(out, "\n{count} cases in {} classes:\n\n", classes.len());
    for class in classes {
        let _ = writeln!(out, "* {}: {} (`{}.case`)", class.title, class.attacks.len(), class.file);
    }
    for class in classes {
        let _ = write!(out, "\n## {}\n\n{}\n\n", class.title, class.prose);
        out.push_str("| Attack | Seen in | A weak parser | This one |\n|---|---|---|---|\n");
        for attack in &class.attacks {
            let mut ours: Vec<&str> = attack.ours.iter().map(String::as_str).collect();
            if ours.is_empty() {
                ours.extend(attack.told.iter().map(String::as_str));
                ours.dedup();
            }
            let cells = [&attack.title, &attack.seen, &attack.weak, &ours.join("; ")];
            let cells: Vec<String> = cells.iter().map(|c| c.replace('|', "\\|")).collect();
            let _ = writeln!(out, "| {} |", cells.join(" | "));
        }
    }
    out
}

#[test]
fn every_attack_says_where_it_is_from_and_what_becomes_of_it() {
    for class in &classes() {
        for attack in &class.attacks {
            let name = format!("{}: # {}", class.file, attack.title);
            assert!(!attack.weak.is_empty() && !attack.seen.is_empty(), "{name}");
            assert!(attack.ours.is_some() || !attack.told.is_empty(), "{name}: a line `ours:`");
        }
    }
}
