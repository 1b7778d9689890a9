//! An account, printed: as JSON, a line for each entry, or for people.

use super::account::{Entry, Field, Framing, Item};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// Octets as text: those above 0x7f as the code points U+0080 to U+00FF.
fn text(octets: &[u8]) -> String {
    octets.iter().map(|&b| char::from(b)).collect()
}

fn pairs(fields: &[Field]) -> Value {
    fields.iter().map(|(name, value)| json!([text(name), text(value)])).collect()
}

/// One entry as JSON, its keys in a fixed order.
pub(crate) fn json(entry: &Entry) -> Value {
    match &entry.item {
        Item::Request { method, target, version, fields, framing, expect, upgrade } => json!({
            "event": "request", "method": method, "target": text(target), "version": version,
            "fields": pairs(fields), "framing": framing.name, "length": framing.length,
            "expect": expect, "upgrade": upgrade,
        }),
        Item::Response { status, reason, version, fields, framing, interim } => json!({
            "event": "response", "status": status, "reason": text(reason), "version": version,
            "fields": pairs(fields), "framing": framing.name, "length": framing.length,
            "interim": interim,
        }),
        Item::Content(octets) => json!({"event": "content", "base64": STANDARD.encode(octets)}),
        Item::End { trailers } => json!({"event": "end", "trailers": pairs(trailers)}),
        Item::Persistence { persist, reason, rule, rfc } => json!({
            "event": "persistence", "persist": persist, "reason": reason, "rule": rule, "rfc": rfc,
        }),
        Item::Tunnel(octets) => json!({"event": "tunnel", "base64": STANDARD.encode(octets)}),
        Item::Ignored(octets) => json!({"event": "ignored", "base64": STANDARD.encode(octets)}),
        Item::Error { blame, kind, status } => json!({
            "event": "error", "blame": blame.name(), "kind": kind.name(), "status": status,
            "offset": entry.offset, "rule": kind.rule(), "text": kind.text(),
        }),
        Item::Incomplete { part } => json!({"event": "incomplete", "in": part}),
        Item::Deadline { now, next } => json!({
            "event": "deadline", "now": now.as_micros(), "timer": next.map(|d| d.timer.name()),
            "at": next.map(|d| d.at.as_micros()),
        }),
    }
}

/// How the content is delimited, with the rule behind it.
fn delimited(framing: &Framing) -> String {
    match (framing.name, framing.length) {
        ("length", Some(n)) => format!("{n} octets of content (S8-7)"),
        ("chunked", _) => "chunked content (S8-4)".into(),
        ("close", _) => "content until the connection closes (S8-8)".into(),
        ("tunnel", _) => "no content: the connection leaves HTTP (S8-2)".into(),
        _ => "no content (S8)".into(),
    }
}

/// One entry for people: an offset, and a line or a few.
pub(crate) fn readable(entry: &Entry) -> String {
    let lines = |fields: &[Field]| -> String {
        fields.iter().map(|(n, v)| format!("\n            {}: {}", show(n), show(v))).collect()
    };
    let told = match &entry.item {
        Item::Request { method, target, version, fields, framing, expect, upgrade } => format!(
            "request   {method} {} HTTP/{version}: {}{}{}{}",
            show(target),
            delimited(framing),
            if *expect { ", waits for a 100 (S8.8)" } else { "" },
            if *upgrade { ", would leave HTTP (S8.9)" } else { "" },
            lines(fields)
        ),
        Item::Response { status, reason, version, fields, framing, interim } => format!(
            "response  {status} {} HTTP/{version}: {}{}",
            show(reason),
            if *interim { "interim (S8.6)".into() } else { delimited(framing) },
            lines(fields)
        ),
        Item::Content(octets) => format!("content   {}", sample(octets)),
        Item::End { trailers } if trailers.is_empty() => "end".into(),
        Item::End { trailers } => format!("end       with trailers (S8.5){}", lines(trailers)),
        Item::Persistence { persist, reason, rule, rfc } => format!(
            "verdict   {}: {reason} ({rule}, {rfc})",
            if *persist { "persists" } else { "closes" }
        ),
        Item::Tunnel(octets) => format!("tunnel    {}", sample(octets)),
        Item::Ignored(octets) => format!("ignored   {}", sample(octets)),
        Item::Error { blame, kind, status } => format!(
            "error     {}, by the {} ({}, {}){}",
            kind.text(),
            blame.name(),
            kind.rule(),
            kind.rfc(),
            status.map_or(String::new(), |s| format!(": answered with {s}"))
        ),
        Item::Deadline { now, next: None } => format!("deadline  none at {}", seconds(*now)),
        Item::Deadline { now, next: Some(d) } => {
            format!("deadline  {} at {} (S3), now {}", d.timer.name(), seconds(d.at), seconds(*now))
        }
        Item::Incomplete { part } => format!("incomplete: the input ends in the {part} (S6.5)"),
    };
    format!("{:>8}  {told}", entry.offset)
}

/// The closing line: whether the connection persists, and why.
pub(crate) fn closing(entries: &[Entry]) -> String {
    for entry in entries.iter().rev() {
        match &entry.item {
            Item::Persistence { persist, reason, rule, rfc } => {
                let verb = if *persist { "persists" } else { "does not persist" };
                return format!("The connection {verb}: {reason} ({rule}, {rfc}).");
            }
            Item::Error { kind, .. } => {
                return format!(
                    "The connection does not persist: {} ({}, {}).",
                    kind.text(),
                    kind.rule(),
                    kind.rfc()
                );
            }
            Item::Incomplete { part } => {
                return format!(
                    "Whether the connection persists is open: the {part} is incomplete."
                );
            }
            _ => {}
        }
    }
    "Whether the connection persists is open: there was no message.".into()
}

fn seconds(at: keepalive::Instant) -> String {
    format!("{:.3} s", at.as_micros() as f64 / 1e6)
}

fn show(octets: &[u8]) -> String {
    octets.escape_ascii().to_string()
}

fn sample(octets: &[u8]) -> String {
    const SHOWN: usize = 60;
    let head = octets.get(..SHOWN).unwrap_or(octets);
    let more = if octets.len() > SHOWN { "…" } else { "" };
    format!("{} octets: {}{more}", octets.len(), show(head))
}
