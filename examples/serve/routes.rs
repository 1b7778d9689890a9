//! The application: it answers requests, and does not know what a socket is.

use keepalive::buffered::ServerOut;
use keepalive::server::Event;
use keepalive::{Content, NO_FIELDS, Plan, RequestHead, Retire, SendError};

type Out<'a> = ServerOut<'a, Vec<u8>>;

const HELLO: &str = "Hello. There are also /bytes/N, /chunked/N, /echo, /status/CODE, /refuse, \
                     /close and /upgrade.\n";
const TEXT: (&str, &str) = ("Content-Type", "text/plain");
const BINARY: (&str, &str) = ("Content-Type", "application/octet-stream");

/// Content for whoever wants much of it.
static BLOCK: [u8; 16 * 1024] = [b'k'; 16 * 1024];

/// What is left to do for the present request, once its response has begun.
///
/// There is one of it for a connection: the machine shows the next request when the response to
/// this one is written, however many the client has sent ahead.
#[derive(Default)]
pub(crate) enum Task {
    #[default]
    Nothing,
    /// So many octets are still to be sent.
    Send(u64),
    /// The same, with a trailer that says how many they were.
    SendAndFinish { left: u64, total: u64 },
    /// What comes in goes out.
    Echo,
}

impl Task {
    /// Reacts to what the machine says.
    pub(crate) fn handle(&mut self, event: &Event<'_>, out: &mut Out<'_>) -> Result<(), SendError> {
        match *event {
            Event::Request(head) => *self = answer(&head, out)?,
            Event::Content(bytes) => {
                // All of it fits: the loop asked for no more than there is room for.
                out.send(bytes)?;
            }
            Event::End(_) if matches!(self, Self::Echo) => {
                *self = Self::Nothing;
                out.finish(NO_FIELDS)?;
            }
            Event::End(_) => {}
            // The machine sends an error where there is one to send. But half an echo was sent
            // already, and its end will not come: the client must not take it for the whole.
            Event::Failed(_) if matches!(self, Self::Echo) => {
                *self = Self::Nothing;
                out.abort();
            }
            Event::Failed(_) => {}
        }
        Ok(())
    }

    /// Sends what there is room for. The loop comes back when there is more.
    pub(crate) fn go_on(&mut self, out: &mut Out<'_>) -> Result<(), SendError> {
        if !out.wants().content {
            // There is nothing to send, or nobody any more to send it to.
            return Ok(());
        }
        match self {
            Self::Nothing | Self::Echo => return Ok(()),
            Self::Send(left) => {
                send_some(left, out)?;
                if *left > 0 {
                    return Ok(());
                }
            }
            Self::SendAndFinish { left, total } => {
                send_some(left, out)?;
                if *left > 0 {
                    return Ok(());
                }
                let total = total.to_string();
                match out.finish([("Octets", total.as_str())]) {
                    Err(SendError::Short { .. }) => return Ok(()),
                    finished => finished?,
                }
            }
        }
        *self = Self::Nothing;
        Ok(())
    }
}

fn send_some(left: &mut u64, out: &mut Out<'_>) -> Result<(), SendError> {
    while *left > 0 {
        let n = usize::try_from(*left).unwrap_or(usize::MAX).min(BLOCK.len());
        let taken = out.send(BLOCK.get(..n).unwrap_or_default())?;
        if taken == 0 {
            break;
        }
        *left -= taken as u64;
    }
    Ok(())
}

/// Begins the response. A HEAD request needs no care: the machine drops the content, and its plan
/// says that there is none to send.
fn answer(head: &RequestHead<'_>, out: &mut Out<'_>) -> Result<Task, SendError> {
    let path = path_of(head.target());
    let (route, number) = match path.split_once('/') {
        Some((route, number)) => (route, number.parse::<u64>().ok()),
        None => (path, None),
    };
    match (route, number) {
        ("", None) => out.reply(200, [TEXT], HELLO.as_bytes())?,
        ("bytes", Some(n)) => {
            if out.respond(200, [BINARY], Content::Length(n))? != Plan::None {
                return Ok(Task::Send(n));
            }
        }
        ("chunked", Some(n)) => {
            let fields = [BINARY, ("Trailer", "Octets")];
            if out.respond(200, fields, Content::Unknown)? != Plan::None {
                return Ok(Task::SendAndFinish { left: n, total: n });
            }
        }
        ("echo", None) => {
            // In this order: a response to content that nobody asked for leaves it unread.
            out.read_content();
            out.respond(200, [BINARY], head.outbound())?;
            return Ok(Task::Echo);
        }
        ("status", Some(code)) => status(u16::try_from(code).unwrap_or(0), out)?,
        // The content, if there is any, is the machine's to deal with: it reads a little for the
        // sake of the connection, and closes where there may be more than that.
        ("refuse", None) => out.reply(413, [TEXT], b"No.\n")?,
        ("close", None) => {
            out.retire(Retire::Application);
            out.reply(200, [TEXT], b"Goodbye.\n")?;
        }
        // A switch has to wait for the end of the content. This server refuses it instead.
        ("upgrade", None) if !head.has_content() && head.upgrade().any(|p| p == b"echo") => {
            out.respond(101, [("Upgrade", "echo")], Content::None)?;
        }
        ("upgrade", None) => {
            out.reply(426, [TEXT, ("Upgrade", "echo")], b"Only to: echo.\n")?;
        }
        _ => out.reply(404, [TEXT], b"There is no such thing here.\n")?,
    }
    Ok(Task::Nothing)
}

/// Some statuses cannot have content, and some cannot be sent as a response at all. The machine
/// knows which, and a call that it refuses has changed nothing.
fn status(code: u16, out: &mut Out<'_>) -> Result<(), SendError> {
    let text = format!("This is a {code}.\n");
    out.reply(code, [TEXT], text.as_bytes())
        .or_else(|_| out.reply(code, NO_FIELDS, b""))
        .or_else(|_| out.reply(code, [TEXT, ("Upgrade", "echo")], text.as_bytes()))
        .or_else(|_| out.reply(400, [TEXT], b"This status is not for a response.\n"))
}

/// The path without its first slash and without the query, also of a target in absolute form.
fn path_of(target: &[u8]) -> &str {
    let target = std::str::from_utf8(target).unwrap_or("?");
    let path = match target.split_once("://") {
        Some((_, rest)) if !target.starts_with('/') => rest.split_once('/').map_or("", |p| p.1),
        _ => target.strip_prefix('/').unwrap_or("*"),
    };
    path.split('?').next().unwrap_or_default()
}
