//! The application of the servers on the core, `epoll_server` and `io_uring_server`: a greeting, as
//! much content as one likes, an echo. And [`answer`], the inner half of their loops: what the bytes at
//! hand mean, and what is said to it.

use crate::account::Account;
use crate::buffers::{Buffers, Bytes};
use crate::fields::Fields;
use keepalive::server::{Connection, Event};
use keepalive::{Content, Instant, NO_FIELDS, Plan, RequestHead, Retire, SendError};

const HELLO: &[u8] = b"Hello, World!";

/// What `/bytes/N` consists of.
static BLOCK: [u8; 16 * 1024] = [b'k'; 16 * 1024];

/// What all connections of a server share. There is one thread, so nothing is locked.
#[derive(Debug)]
pub struct Shared {
    /// What is told at the end.
    pub account: Account,
    /// What all responses say.
    pub fields: Fields,
    /// Buffers for what is received. A connection has one only while something is left in it.
    pub rx: Buffers,
    /// Buffers for what is sent; the same.
    pub tx: Buffers,
    /// The process ends: no response promises that the connection persists.
    pub draining: bool,
}

/// Reads what the bytes in `rx` mean, and answers into `tx`, until there is no more of either. Returns
/// whether anything happened.
///
/// To be called whenever bytes came, output went, or a deadline was due: each of these may let the next
/// request out of the buffer.
pub fn answer(
    now: Instant,
    http: &mut Connection,
    task: &mut Task,
    rx: &mut Bytes,
    tx: &mut Bytes,
    shared: &mut Shared,
) -> bool {
    let mut moved = false;
    loop {
        let went_on = task.go_on(now, http, tx);
        // All of the back-pressure: no request is taken whose answer might not fit behind what is still
        // waiting, and no more content than can be echoed.
        let room = http.fits(tx.room());
        let Some(event) = rx.present(|bytes| http.receive(now, bytes, room)) else {
            give_up(now, http, went_on);
            break;
        };
        moved = true;
        let said = match event {
            Event::Request(head) => {
                shared.account.requests += 1;
                if shared.draining {
                    // Of those that were retired before this says nothing new.
                    http.retire(now, Retire::Drain);
                }
                begin(now, &head, &shared.fields, http, tx).map(|next| *task = next)
            }
            Event::Content(content) => task.content(now, content, http, tx),
            Event::End(_) => task.end(now, http, tx),
            Event::Failed(failure) => {
                shared.account.failed(&failure);
                task.failed(now, http);
                Ok(())
            }
        };
        give_up(now, http, went_on.and(said));
    }
    if http.wants().emit {
        // What the machine has to say by itself: a 100, a 400, a 408.
        if let Ok(n) = http.emit_with(now, &shared.fields.date, tx.spare()) {
            tx.filled(n);
            moved |= n > 0;
        }
    }
    moved
}

/// A refused call is a mistake of this program; the connection cannot go on as if it were none.
fn give_up(now: Instant, http: &mut Connection, result: Result<(), SendError>) {
    if let Err(error) = result {
        eprintln!("a call out of place: {error}");
        http.abort(now);
    }
}

/// What a response still needs, once its head is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Nothing.
    Nothing,
    /// So many octets.
    Send(u64),
    /// Whatever comes.
    Echo,
}

/// Begins the response, and mostly ends it, too.
fn begin(
    now: Instant,
    head: &RequestHead<'_>,
    fields: &Fields,
    http: &mut Connection,
    tx: &mut Bytes,
) -> Result<Task, SendError> {
    let mut task = Task::Nothing;
    let written = match head.target() {
        b"/" | b"/plaintext" => http.reply(now, 200, &fields.text, HELLO, tx.spare())?,
        b"/echo" => {
            // In this order: a response to content that nobody asked for leaves it unread.
            http.read_content(now);
            task = Task::Echo;
            http.respond(now, 200, &fields.binary, head.outbound(), tx.spare())?.written
        }
        target => match number_behind(b"/bytes/", target) {
            Some(n) => {
                let content = Content::Length(n);
                let started = http.respond(now, 200, &fields.binary, content, tx.spare())?;
                // None for HEAD: the machine knows, and says so.
                if started.plan != Plan::None {
                    task = Task::Send(n);
                }
                started.written
            }
            None => http.reply(now, 404, &fields.text, b"Not here.\n", tx.spare())?,
        },
    };
    tx.filled(written);
    Ok(task)
}

fn number_behind(prefix: &[u8], target: &[u8]) -> Option<u64> {
    std::str::from_utf8(target.strip_prefix(prefix)?).ok()?.parse().ok()
}

impl Task {
    /// Whether it needs nothing.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    /// Fills the output with what is still to be sent. The loop comes back when there is space.
    #[inline]
    fn go_on(
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

    fn content(
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

    fn end(
        &mut self,
        now: Instant,
        http: &mut Connection,
        tx: &mut Bytes,
    ) -> Result<(), SendError> {
        if let Self::Echo = self {
            *self = Self::Nothing;
            let n = http.finish(now, NO_FIELDS, tx.spare())?;
            tx.filled(n);
        }
        Ok(())
    }

    /// What was being received will not be complete. An echo of it cannot be, either.
    fn failed(&mut self, now: Instant, http: &mut Connection) {
        if let Self::Echo = self {
            *self = Self::Nothing;
            http.abort(now);
        }
    }
}
