//! One connection: the machine on the buffers of an event loop.
//!
//! [`Peer::turn`] is the part to read first. It runs whenever the socket, the clock or a signal has
//! something to say, and goes on until only one of these can move the connection on.

use keepalive::server::{Config, Connection};
use keepalive::{CloseReason, End, Instant, Io, Lost, Retire};
use keepalive_runtimes::buffers::Bytes;
use keepalive_runtimes::routes::{Shared, Task, answer};
use mio::net::TcpStream;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;

/// A connection in the slab. When idle it holds no buffer, and is all of the memory that it costs.
pub(crate) struct Peer {
    sock: TcpStream,
    http: Connection,
    task: Task,
    /// Bytes received and not yet consumed: half a head, say, or requests that must wait.
    rx: Option<Bytes>,
    /// Bytes that the socket did not take.
    tx: Option<Bytes>,
    /// Edge-triggered readiness is told once, and has to be remembered.
    readable: bool,
    writable: bool,
    /// The peer will send no more, or the socket failed: there is an EOF or an error to be read.
    hung_up: bool,
    /// For when the loop was asked to call [`expire`](Self::expire).
    pub(crate) armed: Option<Instant>,
}

/// What is to become of a connection.
pub(crate) enum Fate {
    /// Wait: for the socket, or for the deadline.
    Keep,
    /// There is more to do, but others are waiting, too.
    Again,
    /// Close it; with a reset if so noted.
    Gone { why: CloseReason, abort: bool },
}

/// How often a connection may read or write in a turn before it is the next one's.
const ROUNDS: usize = 16;

impl Peer {
    pub(crate) fn new(sock: TcpStream, config: &Config, now: Instant) -> Self {
        Self {
            sock,
            http: Connection::new(config, now),
            task: Task::Nothing,
            rx: None,
            tx: None,
            readable: false,
            writable: true,
            hung_up: false,
            armed: None,
        }
    }

    /// The selector has something to say.
    pub(crate) fn ready(&mut self, readable: bool, writable: bool, hung_up: bool) {
        self.readable |= readable || hung_up;
        self.writable |= writable;
        self.hung_up |= hung_up;
    }

    /// Runs whatever can run.
    pub(crate) fn turn(&mut self, now: Instant, shared: &mut Shared) -> Fate {
        let mut rx = self.rx.take().unwrap_or_else(|| shared.rx.take());
        let mut tx = self.tx.take().unwrap_or_else(|| shared.tx.take());
        let fate = self.rounds(now, &mut rx, &mut tx, shared);
        if let Fate::Gone { .. } = fate {
            shared.rx.give_up(rx);
            shared.tx.give_up(tx);
        } else {
            self.rx = shared.rx.give_back(rx);
            self.tx = shared.tx.give_back(tx);
        }
        fate
    }

    fn rounds(
        &mut self,
        now: Instant,
        rx: &mut Bytes,
        tx: &mut Bytes,
        shared: &mut Shared,
    ) -> Fate {
        for _ in 0..ROUNDS {
            // All of what was pipelined is answered in one go, and the answers leave in one write.
            let read = self.read(now, rx);
            let Self { http, task, .. } = self;
            let answered = answer(now, http, task, rx, tx, shared);
            let wrote = self.write(now, tx);
            match self.http.wants().end {
                Some(End::ShutdownWrite) => {
                    let _ = self.sock.shutdown(Shutdown::Write); // the peer may be gone already
                    self.http.write_closed(now);
                    continue;
                }
                Some(End::Close(why)) => return Fate::Gone { why, abort: false },
                Some(End::Abort(why)) => return Fate::Gone { why, abort: true },
                // No route of this server leads there.
                Some(End::Tunnel) => return Fate::Gone { why: CloseReason::Tunnel, abort: true },
                None => {}
            }
            // The usual case first: nothing is left, neither here nor in the socket.
            let done = rx.is_empty() && tx.is_empty() && !self.readable && self.task.is_over();
            if done || !(read || answered || wrote) {
                return Fate::Keep;
            }
        }
        Fate::Again
    }

    /// Reads once, if there is reason to.
    fn read(&mut self, now: Instant, rx: &mut Bytes) -> bool {
        // Reading into no space at all would look like EOF.
        if !self.readable || rx.room() == 0 || !self.http.wants().read {
            return false;
        }
        let space = rx.spare();
        let room = space.len();
        match Io::from(self.sock.read(space)) {
            Io::Done(0) => {
                self.readable = false;
                self.http.received_eof(now);
            }
            Io::Done(n) => {
                rx.filled(n);
                // Fewer bytes than there was space for: the socket is empty, and will tell when it
                // is not. That saves the read that would say so. An EOF was told already.
                self.readable = n == room || self.hung_up;
            }
            Io::Nothing => {
                self.readable = false;
                return false;
            }
            Io::Lost(how) => {
                self.readable = false;
                self.http.lost(now, how);
            }
        }
        true
    }

    /// Writes as much as the socket takes.
    fn write(&mut self, now: Instant, tx: &mut Bytes) -> bool {
        if tx.is_empty() || !self.writable {
            return false;
        }
        match Io::from(self.sock.write(tx.unread())) {
            Io::Done(n @ 1..) => {
                // The same the other way round: it tells when it has room again.
                self.writable = n == tx.len();
                tx.consume(n);
                self.http.transmitted(now, n as u64);
            }
            Io::Nothing => {
                self.writable = false;
                return false;
            }
            Io::Done(0) | Io::Lost(_) => {
                tx.clear();
                self.http.lost(now, Lost::Write);
            }
        }
        true
    }

    // ---- what the loop asks and says ----

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.http.deadline().map(|deadline| deadline.at)
    }

    pub(crate) fn expire(&mut self, now: Instant) {
        self.http.expire(now);
    }

    /// The process ends: no request is to be lost by it. A connection that is new may have its first
    /// one on the way.
    pub(crate) fn retire(&mut self, now: Instant, new_ones_too: bool) {
        if new_ones_too || self.http.requests() > 0 {
            self.http.retire(now, Retire::Drain);
        }
    }

    pub(crate) fn into_socket(self) -> TcpStream {
        self.sock
    }
}
