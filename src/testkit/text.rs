//! The words that scripts are written in: octets with escapes, moments, and pieces of a line.

use super::script::ScriptError;
use crate::time::Instant;
use std::format;
use std::prelude::v1::*;

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

/// A piece of a line: a word, a `"text"`, or a `[Field: line]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// What stands between spaces.
    Word(String),
    /// What stands in quotes, without escapes.
    Text(Vec<u8>),
    /// What stands in brackets: a field name, and a value without escapes.
    Field(String, Vec<u8>),
}

fn fault<T>(text: impl Into<String>) -> Result<T, ScriptError> {
    Err(ScriptError::new(text))
}

/// Undoes the escapes: `\r \n \t \\ \" \] \{ \xNN`, `{repeat N text}`, and the names of octets that
/// come often (`{G}`, `{R n}` and others: see the [format](super#scripts)).
///
/// ```
/// use keepalive::testkit::unescape;
/// assert_eq!(unescape(r"a\r\n\x00{repeat 3 b}")?, b"a\r\n\0bbb");
/// assert_eq!(unescape("{G}")?, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
/// # Ok::<(), keepalive::testkit::ScriptError>(())
/// ```
///
/// # Errors
/// What is wrong with the text.
pub fn unescape(text: &str) -> Result<Vec<u8>, ScriptError> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        if c == '\\' {
            let Some(e) = after.chars().next() else { return fault("escape at the end") };
            let (byte, len) = match e {
                'r' => (b'\r', 1),
                'n' => (b'\n', 1),
                't' => (b'\t', 1),
                '\\' | '"' | ']' | '{' => (e as u8, 1),
                'x' => match after.get(1..3).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                    Some(byte) => (byte, 3),
                    None => return fault("not two hexadecimal digits behind \\x"),
                },
                _ => return fault(format!("unknown escape \\{e}")),
            };
            out.push(byte);
            rest = after.get(len..).unwrap_or_default();
        } else if c == '{' {
            let Some((inside, more)) = after.split_once('}') else { return fault("{ without }") };
            named(inside, &mut out)?;
            rest = more;
        } else {
            out.extend(c.to_string().as_bytes());
            rest = after;
        }
    }
    Ok(out)
}

fn named(inside: &str, out: &mut Vec<u8>) -> Result<(), ScriptError> {
    const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ";
    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: ";
    const CLOSE: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ";
    if let Some(repeat) = inside.strip_prefix("repeat ") {
        let Some((n, text)) = repeat.split_once(' ') else { return fault("{repeat N text}") };
        out.extend(unescape(text)?.repeat(number(n)?));
        return Ok(());
    }
    for (name, head) in [("P ", POST), ("RC ", CLOSE), ("R ", OK)] {
        if let Some(n) = inside.strip_prefix(name) {
            out.extend(format!("{head}{n}\r\n\r\n").into_bytes());
            return Ok(());
        }
    }
    match NAMED.iter().find(|(name, _)| *name == inside) {
        Some((_, text)) => out.extend(text.as_bytes()),
        None => return fault(format!("unknown name {{{inside}}}")),
    }
    Ok(())
}

/// As [`unescape`] reads it, on one line.
///
/// ```
/// use keepalive::testkit::{escape, unescape};
/// assert_eq!(escape(b" a\r\n\xff{"), r"\x20a\r\n\xff\{");
/// assert_eq!(unescape(&escape(b" {G}\0 "))?, b" {G}\0 ");
/// # Ok::<(), keepalive::testkit::ScriptError>(())
/// ```
#[must_use]
pub fn escape(octets: &[u8]) -> String {
    let mut out = String::new();
    let last = octets.len().saturating_sub(1);
    for (i, &b) in octets.iter().enumerate() {
        match b {
            b'\r' => out.push_str("\\r"),
            b'\n' => out.push_str("\\n"),
            b'\t' => out.push_str("\\t"),
            b'\\' | b'"' | b']' | b'{' => {
                out.push('\\');
                out.push(char::from(b));
            }
            // Spaces at the ends of a line do not count.
            b' ' if i == 0 || i == last => out.push_str("\\x20"),
            b' '..=b'~' => out.push(char::from(b)),
            _ => out.push_str(&format!("\\x{b:02x}")),
        }
    }
    out
}

/// Splits a line into its pieces.
///
/// ```
/// use keepalive::testkit::{Token, tokens};
/// let line = tokens(r#"reply 200 "hi\n" [X-A: b c]"#)?;
/// assert_eq!(line[1], Token::Word("200".into()));
/// assert_eq!(line[2], Token::Text(b"hi\n".into()));
/// assert_eq!(line[3], Token::Field("X-A".into(), b"b c".into()));
/// # Ok::<(), keepalive::testkit::ScriptError>(())
/// ```
///
/// # Errors
/// What is wrong with the text.
pub fn tokens(text: &str) -> Result<Vec<Token>, ScriptError> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(c) = rest.chars().next() {
        let closing = match c {
            '"' => '"',
            '[' => ']',
            _ => {
                let (word, more) = rest.split_once(' ').unwrap_or((rest, ""));
                out.push(Token::Word(word.to_owned()));
                rest = more.trim_start();
                continue;
            }
        };
        let after = rest.get(1..).unwrap_or_default();
        let mut escaped = false;
        let end = after.find(|c| {
            let found = c == closing && !escaped;
            escaped = c == '\\' && !escaped;
            found
        });
        let Some((inside, more)) = end.and_then(|end| after.split_at_checked(end)) else {
            return fault(format!("no {closing} in: {rest}"));
        };
        out.push(if c == '"' {
            Token::Text(unescape(inside)?)
        } else {
            let Some((name, value)) = inside.split_once(": ") else {
                return fault("not [Name: value]");
            };
            Token::Field(name.to_owned(), unescape(value)?)
        });
        rest = more.get(1..).unwrap_or_default().trim_start();
    }
    Ok(out)
}

/// `75s`, `0.5s`, `1500ms`, since the beginning.
///
/// ```
/// use keepalive::{Instant, testkit::moment};
/// assert_eq!(moment("1.5s")?, Instant::from_millis(1_500));
/// assert_eq!(moment("1500ms")?, Instant::from_millis(1_500));
/// # Ok::<(), keepalive::testkit::ScriptError>(())
/// ```
///
/// # Errors
/// If it is not a time.
pub fn moment(text: &str) -> Result<Instant, ScriptError> {
    let bad = || ScriptError::new(format!("not a time: {text}"));
    if let Some(ms) = text.strip_suffix("ms") {
        return Ok(Instant::from_millis(ms.parse().map_err(|_| bad())?));
    }
    let s = text.strip_suffix('s').ok_or_else(bad)?;
    let (whole, part) = s.split_once('.').unwrap_or((s, ""));
    let whole: u64 = whole.parse().map_err(|_| bad())?;
    let micros: u64 = match part.len() {
        0 => 0,
        1..=6 => format!("{part:0<6}").parse().map_err(|_| bad())?,
        _ => return Err(bad()),
    };
    Ok(Instant::from_micros(whole.saturating_mul(1_000_000).saturating_add(micros)))
}

/// As [`moment`] reads it.
///
/// ```
/// use keepalive::{Instant, testkit::show_moment};
/// assert_eq!(show_moment(Instant::from_millis(1_500)), "1.5s");
/// ```
#[must_use]
pub fn show_moment(at: Instant) -> String {
    let us = at.as_micros();
    let text = format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
}

pub(super) fn number<T: std::str::FromStr>(text: &str) -> Result<T, ScriptError> {
    text.parse().map_err(|_| ScriptError::new(format!("not a number: {text}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_is_read_back() {
        for seed in 0..2_000 {
            let mut source = super::super::Source::seeded(seed);
            let n = usize::from(source.below(20));
            let octets = source.take(n);
            let text = escape(&octets);
            assert_eq!(unescape(&text).unwrap(), octets, "{text}");
            assert_eq!(text.trim(), text);
            let quoted = tokens(&format!("a \"{text}\" b [N: {text}] c")).unwrap();
            let field = Token::Field("N".into(), octets.clone());
            assert_eq!(quoted[1..4], [Token::Text(octets), Token::Word("b".into()), field]);
        }
        for wrong in ["\\", "\\q", "\\x0", "{", "{what}", "{repeat 3}", "{repeat x y}"] {
            assert!(unescape(wrong).is_err(), "{wrong}");
        }
        for wrong in ["\"a", "[a: b", "[a]"] {
            assert!(tokens(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "1", "s", "1.5", "x s", "1.1234567s", "1.5ms", "-1s"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
        for us in [0, 1, 1_500_000, 75_000_000, 123_456_789] {
            let at = Instant::from_micros(us);
            assert_eq!(moment(&show_moment(at)).unwrap(), at);
        }
    }
}
