//! The buffered layer: a connection together with its two buffers, over any storage.
//!
//! It keeps the cursors that the core's contract asks the driver to keep, applies every `consumed`
//! and counts every octet transmitted, so that none of it can be forgotten. It decides nothing: each
//! call ends in the same call of the core.
//!
//! [`Server::next`] and [`Client::next`] return the event and the writer apart, since the event
//! borrows the receive buffer and the writer does not: one can answer while holding the head.

use crate::action::{End, Io, Lost, Retire, Step, Wants};
use crate::content::{Content, Plan};
use crate::deadline::Deadline;
use crate::error::SendError;
use crate::head::fields::Line;
use crate::persistence::Persistence;
use crate::prepared::Field;
use crate::retry::Retry;
use crate::status::Status;
use crate::time::Instant;
// Of the parent, since the test kit compiles this file over its own connections.
use super::{client, server};

/// Storage for a buffer: `Vec<u8>`, `[u8; N]`, `Box<[u8]>`, `&mut [u8]`. Its whole length is used, and
/// it never grows.
pub trait Storage: AsRef<[u8]> + AsMut<[u8]> {}
impl<T: AsRef<[u8]> + AsMut<[u8]>> Storage for T {}

/// A buffer with cursors. Octets move only in [`spare`](Self::spare), and only when there is
/// something to gain.
///
/// ```
/// use keepalive::Buffer;
/// let mut buffer = Buffer::new([0; 8]);
/// buffer.spare()[..3].copy_from_slice(b"abc");
/// buffer.filled(3);
/// buffer.consume(1);
/// assert_eq!(buffer.unread(), b"bc");
/// assert_eq!(buffer.room(), 6);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buffer<B> {
    store: B,
    start: usize,
    end: usize,
}

impl<B: Storage> Buffer<B> {
    /// An empty buffer over this storage.
    pub const fn new(store: B) -> Self {
        Self { store, start: 0, end: 0 }
    }

    /// What is in it.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        self.store.as_ref().get(self.start..self.end).unwrap_or_default()
    }

    /// How much is in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How much more fits.
    #[must_use]
    pub fn room(&self) -> usize {
        self.capacity().saturating_sub(self.len())
    }

    /// How much fits in all.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.store.as_ref().len()
    }

    /// Drops `n` octets from the front, or all there are.
    pub fn consume(&mut self, n: usize) {
        self.start += n.min(self.len());
        if self.start == self.end {
            self.clear();
        }
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
    }

    /// All the space that is free, in one piece.
    pub fn spare(&mut self) -> &mut [u8] {
        if self.start > 0 {
            let kept = self.start..self.end;
            self.end -= self.start;
            self.start = 0;
            self.store.as_mut().copy_within(kept, 0);
        }
        self.store.as_mut().get_mut(self.end..).unwrap_or_default()
    }

    /// `n` octets of the spare space were written.
    pub fn filled(&mut self, n: usize) {
        self.end = self.end.saturating_add(n).min(self.capacity());
    }

    /// Shows what is unread to `receive`, drops what it consumed, and returns its event.
    pub fn present<'a, E>(&'a mut self, receive: impl FnOnce(&'a [u8]) -> Step<E>) -> Option<E> {
        let Self { store, start, end } = self;
        let store: &'a B = store;
        let step = receive(store.as_ref().get(*start..*end).unwrap_or_default());
        *start = start.saturating_add(step.consumed).min(*end);
        step.event
    }

    /// The storage.
    pub fn into_inner(self) -> B {
        self.store
    }
}

/// The calls that both roles have in common, written once.
macro_rules! common {
    ($Role:ident, $role:ident, $Out:ident) => {
        impl<B: Storage> $Role<B> {
            /// Joins a fresh connection with storage for what is received (at least
            /// `receive_buffer()` of the configuration) and for what is sent.
            pub fn new(config: &$role::Config, now: Instant, rx: B, tx: B) -> Self {
                Self {
                    conn: $role::Connection::new(config, now),
                    rx: Buffer::new(rx),
                    tx: Buffer::new(tx),
                }
            }

            /// The writer alone, for an answer that comes when no event does.
            pub fn out(&mut self, now: Instant) -> $Out<'_, B> {
                $Out { conn: &mut self.conn, tx: &mut self.tx, now }
            }

            /// Where to read to. `None`: do not read now.
            pub fn space(&mut self) -> Option<&mut [u8]> {
                if !self.conn.wants().read || self.rx.room() == 0 {
                    return None;
                }
                Some(self.rx.spare())
            }

            /// How much content the writer would take now: the `room` for [`next`](Self::next) where
            /// what is received goes straight out again.
            #[must_use]
            pub fn room(&self) -> usize {
                self.conn.fits(self.tx.room())
            }

            /// What one read into [`space`](Self::space) said. [`Io::Nothing`] lets deadlines expire.
            pub fn received(&mut self, now: Instant, read: Io) {
                match read {
                    Io::Done(0) => self.conn.received_eof(now),
                    Io::Done(n) => self.rx.filled(n),
                    Io::Nothing => self.conn.expire(now),
                    Io::Lost(how) => self.conn.lost(now, how),
                }
            }

            /// What is to be written: nothing on a connection that is to be closed or aborted.
            #[must_use]
            pub fn output(&self) -> &[u8] {
                match self.conn.wants().end {
                    Some(End::Close(_) | End::Abort(_)) => b"",
                    _ => self.tx.unread(),
                }
            }

            /// What one write of [`output`](Self::output) said. [`Io::Nothing`] lets deadlines expire.
            pub fn transmitted(&mut self, now: Instant, write: Io) {
                match write {
                    Io::Done(n) => {
                        let n = n.min(self.tx.len());
                        self.tx.consume(n);
                        self.conn.transmitted(now, n as u64);
                    }
                    Io::Nothing => self.conn.expire(now),
                    Io::Lost(_) => {
                        self.tx.clear();
                        self.conn.lost(now, Lost::Write);
                    }
                }
            }

            /// Handles the deadlines that are due.
            pub fn expire(&mut self, now: Instant) {
                self.conn.expire(now);
            }

            /// The sending side was closed, as [`End::ShutdownWrite`] asked.
            pub fn write_closed(&mut self, now: Instant) {
                self.conn.write_closed(now);
            }

            /// What would move the connection on. Output that waits is not part of it: see
            /// [`output`](Self::output).
            #[must_use]
            pub fn wants(&self) -> Wants {
                self.conn.wants()
            }

            /// The next moment at which [`expire`](Self::expire) is to be called, and why.
            #[must_use]
            pub fn deadline(&self) -> Option<Deadline> {
                self.conn.deadline()
            }

            /// Whether the connection goes on after the present exchange, as far as is known now.
            #[must_use]
            pub fn persistence(&self) -> Persistence {
                self.conn.persistence()
            }

            /// What was received and not consumed: after [`End::Tunnel`] it is the application's.
            #[must_use]
            pub fn unread(&self) -> &[u8] {
                self.rx.unread()
            }

            /// The connection, for its questions.
            #[must_use]
            pub fn connection(&self) -> &$role::Connection {
                &self.conn
            }

            /// Connection, receive buffer and send buffer, apart.
            pub fn into_parts(self) -> ($role::Connection, Buffer<B>, Buffer<B>) {
                (self.conn, self.rx, self.tx)
            }

            /// What has arrived goes first; then what is due expires.
            fn advance<'b>(
                conn: &mut $role::Connection,
                now: Instant,
                bytes: &'b [u8],
                room: usize,
            ) -> Step<$role::Event<'b>> {
                let first = conn.receive(now, bytes, room);
                if first.event.is_some() {
                    return first;
                }
                conn.expire(now);
                let rest = bytes.get(first.consumed..).unwrap_or_default();
                let then = conn.receive(now, rest, room);
                Step { consumed: first.consumed + then.consumed, event: then.event }
            }
        }

        #[cfg(feature = "alloc")]
        impl $Role<alloc::vec::Vec<u8>> {
            /// A fresh connection with buffers of the usual size: what the configuration needs for
            /// receiving, and 32 KiB for sending.
            #[must_use]
            pub fn allocate(config: &$role::Config, now: Instant) -> Self {
                let zeros = |n| alloc::vec![0; n];
                Self::new(config, now, zeros(config.receive_buffer()), zeros(32 * 1024))
            }
        }

        impl<B: Storage> $Out<'_, B> {
            /// Sends content: as much as fits. Returns how much was taken.
            ///
            /// # Errors
            /// As `send` of the connection.
            pub fn send(&mut self, content: &[u8]) -> Result<usize, SendError> {
                let moved = self.conn.send(self.now, content, self.tx.spare())?;
                self.tx.filled(moved.written);
                Ok(moved.taken)
            }

            /// Ends content of unknown length, with trailers.
            ///
            /// # Errors
            /// As `finish` of the connection.
            pub fn finish<'f>(
                &mut self,
                trailers: impl IntoIterator<Item = impl Into<Line<'f>>>,
            ) -> Result<(), SendError> {
                let n = self.conn.finish(self.now, trailers, self.tx.spare())?;
                self.tx.filled(n);
                Ok(())
            }

            /// Wants no more of the content that is being received.
            pub fn skip_content(&mut self) {
                self.conn.skip_content(self.now);
            }

            /// Gives up: the connection is to be aborted, and what waits is not sent.
            pub fn abort(&mut self) {
                self.conn.abort(self.now);
            }

            /// Retires the connection.
            pub fn retire(&mut self, why: Retire) {
                self.conn.retire(self.now, why);
            }

            /// How much content [`send`](Self::send) would take now.
            #[must_use]
            pub fn room(&self) -> usize {
                self.conn.fits(self.tx.room())
            }

            /// What would move the connection on.
            #[must_use]
            pub fn wants(&self) -> Wants {
                self.conn.wants()
            }

            /// Whether the connection goes on after the present exchange, as far as is known now.
            #[must_use]
            pub fn persistence(&self) -> Persistence {
                self.conn.persistence()
            }
        }
    };
}

/// A server's connection with its buffers.
///
/// ```
/// use keepalive::{Instant, Io, NO_FIELDS, buffered::Server, server::{Config, Event}};
/// let (now, config) = (Instant::default(), Config::origin());
/// let mut http = Server::allocate(&config, now);
/// let bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
/// http.space().unwrap()[..bytes.len()].copy_from_slice(bytes);
/// http.received(now, Io::Done(bytes.len()));
/// while let (Some(event), mut out) = http.next(now, usize::MAX) {
///     if let Event::Request(head) = event {
///         let status = if head.is_connect() { 501 } else { 200 };
///         out.reply(status, [("Content-Type", "text/plain")], head.target())?;
///     }
/// }
/// assert!(http.output().ends_with(b"\r\n\r\n/"));
/// # Ok::<(), keepalive::SendError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Server<B> {
    conn: server::Connection,
    rx: Buffer<B>,
    tx: Buffer<B>,
}

/// What a server says: borrows the connection and its send buffer, and nothing of what was received.
#[derive(Debug)]
pub struct ServerOut<'a, B> {
    conn: &'a mut server::Connection,
    tx: &'a mut Buffer<B>,
    now: Instant,
}

common! { Server, server, ServerOut }

impl<B: Storage> Server<B> {
    /// The next event, and the writer to answer it. Content comes in pieces of at most `room` octets.
    /// When there is no event, what the machine itself has to say is written.
    ///
    /// Requests are held back while output waits and more than half of the send buffer is in use: so
    /// an answer of up to half of it never finds it too full. Deadlines that are due expire here too,
    /// behind what has arrived.
    pub fn next(
        &mut self,
        now: Instant,
        room: usize,
    ) -> (Option<server::Event<'_>>, ServerOut<'_, B>) {
        let Self { conn, rx, tx } = self;
        let between = !conn.wants().content;
        let crowded = tx.room() < tx.capacity() / 2;
        let room = if between && crowded { 0 } else { room };
        let event = rx.present(|bytes| Self::advance(conn, now, bytes, room));
        if event.is_none()
            && let Ok(n) = conn.emit(now, tx.spare())
        {
            tx.filled(n);
        }
        (event, ServerOut { conn, tx, now })
    }
}

impl<B: Storage> ServerOut<'_, B> {
    /// Wants the content of the request.
    pub fn read_content(&mut self) {
        self.conn.read_content(self.now);
    }

    /// Sends an interim response.
    ///
    /// # Errors
    /// As [`server::Connection::inform`].
    pub fn inform<'f>(
        &mut self,
        status: u16,
        fields: impl IntoIterator<Item = impl Into<Field<'f>>>,
    ) -> Result<(), SendError> {
        let n = self.conn.inform(self.now, status, fields, self.tx.spare())?;
        self.tx.filled(n);
        Ok(())
    }

    /// Sends a whole response, all or nothing.
    ///
    /// # Errors
    /// As [`server::Connection::reply`].
    pub fn reply<'f, 's>(
        &mut self,
        status: impl Into<Status<'s>>,
        fields: impl IntoIterator<Item = impl Into<Field<'f>>>,
        content: &[u8],
    ) -> Result<(), SendError> {
        let n = self.conn.reply(self.now, status, fields, content, self.tx.spare())?;
        self.tx.filled(n);
        Ok(())
    }

    /// Sends a final response head, and declares the content that follows.
    ///
    /// # Errors
    /// As [`server::Connection::respond`].
    pub fn respond<'f, 's>(
        &mut self,
        status: impl Into<Status<'s>>,
        fields: impl IntoIterator<Item = impl Into<Field<'f>>>,
        content: Content,
    ) -> Result<Plan, SendError> {
        let started = self.conn.respond(self.now, status, fields, content, self.tx.spare())?;
        self.tx.filled(started.written);
        Ok(started.plan)
    }
}

/// A client's connection with its buffers.
#[derive(Clone, Debug)]
pub struct Client<B> {
    conn: client::Connection,
    rx: Buffer<B>,
    tx: Buffer<B>,
}

/// What a client says: borrows the connection and its send buffer, and nothing of what was received.
#[derive(Debug)]
pub struct ClientOut<'a, B> {
    conn: &'a mut client::Connection,
    tx: &'a mut Buffer<B>,
    now: Instant,
}

common! { Client, client, ClientOut }

impl<B: Storage> Client<B> {
    /// The next event, and the writer. Content comes in pieces of at most `room` octets. Deadlines
    /// that are due expire here too, behind what has arrived.
    pub fn next(
        &mut self,
        now: Instant,
        room: usize,
    ) -> (Option<client::Event<'_>>, ClientOut<'_, B>) {
        let Self { conn, rx, tx } = self;
        let event = rx.present(|bytes| Self::advance(conn, now, bytes, room));
        (event, ClientOut { conn, tx, now })
    }

    /// The check before the connection is used again (S2.6). `read` is one read that does not block.
    pub fn checkout(&mut self, now: Instant, read: impl FnOnce(&mut [u8]) -> Io) -> client::Reuse {
        // A read into nothing would look like EOF.
        let io = match self.rx.spare() {
            [] => Io::Nothing,
            space => read(space),
        };
        if let Io::Done(n) = io {
            self.rx.filled(n);
        }
        let reuse = self.conn.checkout(now, io, self.rx.unread());
        if matches!(reuse, client::Reuse::Ready { .. } | client::Reuse::ImmediateOnly) {
            self.rx.clear();
        }
        reuse
    }

    /// Whether the connection can take a request now, or is worth keeping.
    #[must_use]
    pub fn reuse(&self, now: Instant) -> client::Reuse {
        self.conn.reuse(now)
    }

    /// The verdict on sending a request again: the `nth` of those unanswered.
    #[must_use]
    pub fn retry(&self, nth: usize) -> Option<Retry> {
        self.conn.retry(nth)
    }
}

impl<B: Storage> ClientOut<'_, B> {
    /// Makes a request.
    ///
    /// # Errors
    /// As [`client::Connection::request`].
    pub fn request<'f>(
        &mut self,
        method: &str,
        target: impl AsRef<[u8]>,
        fields: impl IntoIterator<Item = impl Into<Field<'f>>>,
        content: Content,
    ) -> Result<Plan, SendError> {
        let started =
            self.conn.request(self.now, method, target, fields, content, self.tx.spare())?;
        self.tx.filled(started.written);
        Ok(started.plan)
    }

    /// The verdict on sending a request again: the `nth` of those unanswered. Here too, since a 408 or
    /// a 417 is judged while its head is at hand.
    #[must_use]
    pub fn retry(&self, nth: usize) -> Option<Retry> {
        self.conn.retry(nth)
    }
}
