//! States in words of the case files.

use super::case::show;
use keepalive::client::Reuse;
use keepalive::{End, Plan, SendError, Wants};

pub(crate) fn text(bytes: &[u8]) -> String {
    if bytes.len() > 3000 {
        let (a, z) = (&bytes[..200], &bytes[bytes.len() - 200..]);
        return format!("{} … {} ({} octets)", a.escape_ascii(), z.escape_ascii(), bytes.len());
    }
    bytes.escape_ascii().to_string()
}

/// Names as the cases write them.
pub(crate) fn show_end(end: Option<End>) -> String {
    match end {
        None => "none".to_owned(),
        Some(End::ShutdownWrite) => "shutdown_write".to_owned(),
        Some(End::Close(r)) => format!("close {}", r.name()),
        Some(End::Abort(r)) => format!("abort {}", r.name()),
        Some(End::Tunnel) => "tunnel".to_owned(),
    }
}

pub(crate) fn show_wants(w: &Wants) -> String {
    let all = [(w.read, "read"), (w.emit, "emit"), (w.head, "head"), (w.content, "content")];
    let some: Vec<_> = all.iter().filter(|a| a.0).map(|a| a.1).collect();
    if some.is_empty() { "nothing".to_owned() } else { some.join(" ") }
}

pub(crate) fn show_reuse(reuse: Reuse) -> Vec<String> {
    match reuse {
        Reuse::Ready { until, left } => {
            let until = until.map_or("ever".to_owned(), show);
            let left = left.map_or("any".to_owned(), |n| n.to_string());
            vec![
                format!("ready until {until} left {left}"),
                format!("ready until {until}"),
                "ready".to_owned(),
            ]
        }
        Reuse::ImmediateOnly => vec!["immediate".to_owned()],
        Reuse::Busy => vec!["busy".to_owned()],
        Reuse::Unchecked => vec!["unchecked".to_owned()],
        Reuse::No(reason) => vec![format!("no {}", reason.name())],
    }
}

pub(crate) fn show_error(e: SendError) -> Vec<String> {
    match e {
        SendError::Invalid(part) => vec![format!("Invalid {part:?}"), "Invalid".to_owned()],
        SendError::Length { left } => vec![format!("Length {left}"), "Length".to_owned()],
        SendError::NotReady(reuse) => {
            let named = show_reuse(reuse).into_iter().map(|r| format!("NotReady {r}"));
            named.chain(["NotReady".to_owned()]).collect()
        }
        other => vec![format!("{other:?}")],
    }
}

pub(crate) fn show_plan(plan: Plan) -> String {
    match plan {
        Plan::None => "none".to_owned(),
        Plan::Length(n) => format!("length {n}"),
        Plan::Chunked => "chunked".to_owned(),
        Plan::UntilClose => "until_close".to_owned(),
        Plan::Tunnel => "tunnel".to_owned(),
    }
}
