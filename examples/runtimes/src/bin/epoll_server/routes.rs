//! The application: a greeting, as much content as one likes, an echo.

use keepalive::server::Connection;
use keepalive::{Content, Instant, Plan, RequestHead, SendError};
use keepalive_runtimes::buffers::Bytes;

const HELLO: &[u8] = b"Hello, World!";
const TEXT: (&str, &str) = ("Content-Type", "text/plain");
const BINARY: (&str, &str) = ("Content-Type", "application/octet-stream");

/// What `/bytes/N` consists of.
static BLOCK: [u8; 16 * 1024] = [b'k'; 16 * 1024];

/// What a response still needs, once its head is out.
pub(crate) enum Task {
    Nothing,
    /// So many octets.
    Send(u64),
    /// Whatever comes.
    Echo,
}

/// Begins the response, and mostly ends it, too.
pub(crate) fn answer(
    now: Instant,
    head: &RequestHead<'_>,
    date: &str,
    http: &mut Connection,
    tx: &mut Bytes,
) -> Result<Task, SendError> {
    let date = ("Date", date);
    let mut task = Task::Nothing;
    let written = match head.target() {
        b"/" | b"/plaintext" => http.reply(now, 200, [TEXT, date], HELLO, tx.spare())?,
        b"/echo" => {
            // In this order: a response to content that nobody asked for leaves it unread.
            http.read_content(now);
            task = Task::Echo;
            http.respond(now, 200, [BINARY, date], head.outbound(), tx.spare())?.written
        }
        target => match number_behind(b"/bytes/", target) {
            Some(n) => {
                let content = Content::Length(n);
                let started = http.respond(now, 200, [BINARY, date], content, tx.spare())?;
                // None for HEAD: the machine knows, and says so.
                if started.plan != Plan::None {
                    task = Task::Send(n);
                }
                started.written
            }
            None => http.reply(now, 404, [TEXT, date], b"Not here.\n", tx.spare())?,
        },
    };
    tx.filled(written);
    Ok(task)
}

fn number_behind(prefix: &[u8], target: &[u8]) -> Option<u64> {
    std::str::from_utf8(target.strip_prefix(prefix)?).ok()?.parse().ok()
}

impl Task {
    pub(crate) fn is_over(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    /// Fills the output with what is still to be sent. The loop comes back when there is space.
    #[inline]
    pub(crate) fn go_on(
        &mut self,
        now: Instant,
        http: &mut Connection,
        tx: &mut Bytes,
    ) -> Result<(), SendError> {
        let Self::Send(left) = self else { return Ok(()) };
        while *left > 0 && http.wants().content {
            let n = usize::try_from(*left).unwrap_or(usize::MAX).min(BLOCK.len());
            let moved = http.send(now, &BLOCK[..n], tx.spare())?;
            tx.filled(moved.written);
            *left -= moved.taken as u64;
            if moved.taken == 0 {
                return Ok(());
            }
        }
        *self = Self::Nothing;
        Ok(())
    }

    pub(crate) fn content(
        &mut self,
        now: Instant,
        content: &[u8],
        http: &mut Connection,
        tx: &mut Bytes,
    ) -> Result<(), SendError> {
        if let Self::Echo = self {
            // All of it finds room: that is what `fits` was asked for.
            let moved = http.send(now, content, tx.spare())?;
            tx.filled(moved.written);
        }
        Ok(())
    }

    pub(crate) fn end(
        &mut self,
        now: Instant,
        http: &mut Connection,
        tx: &mut Bytes,
    ) -> Result<(), SendError> {
        if let Self::Echo = self {
            *self = Self::Nothing;
            let n = http.finish(now, keepalive::NO_FIELDS, tx.spare())?;
            tx.filled(n);
        }
        Ok(())
    }

    /// What was being received will not be complete. An echo of it cannot be, either.
    pub(crate) fn failed(&mut self, now: Instant, http: &mut Connection) {
        if let Self::Echo = self {
            *self = Self::Nothing;
            http.abort(now);
        }
    }
}
