//! A machine on a tokio socket: the waiting, and nothing else. Server, client and relay share it.
//!
//! The buffered layer asks for one thing at a time (space to read to, output to write), and a socket
//! that is waited for by readiness needs no more than that: see [`Link::turn`].

use keepalive::buffered::{Client, Server};
use keepalive::{Clock, CloseReason, Deadline, End, Instant, Io, Wants};
use std::future::pending;
use std::io::{self, Read as _};
use std::net::Shutdown;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{Interest, Ready};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// What a server's and a client's connection have in common as far as a socket is concerned.
#[allow(missing_docs, reason = "as in keepalive::buffered")]
pub trait Http {
    fn space(&mut self) -> Option<&mut [u8]>;
    fn received(&mut self, now: Instant, read: Io);
    fn output(&self) -> &[u8];
    fn transmitted(&mut self, now: Instant, write: Io);
    fn write_closed(&mut self, now: Instant);
    fn expire(&mut self, now: Instant);
    fn wants(&self) -> Wants;
    fn deadline(&self) -> Option<Deadline>;
}

macro_rules! http {
    ($($Role:ident)*) => {$(
        impl Http for $Role<Vec<u8>> {
            fn space(&mut self) -> Option<&mut [u8]> {
                $Role::space(self)
            }
            fn received(&mut self, now: Instant, read: Io) {
                $Role::received(self, now, read);
            }
            fn output(&self) -> &[u8] {
                $Role::output(self)
            }
            fn transmitted(&mut self, now: Instant, write: Io) {
                $Role::transmitted(self, now, write);
            }
            fn write_closed(&mut self, now: Instant) {
                $Role::write_closed(self, now);
            }
            fn expire(&mut self, now: Instant) {
                $Role::expire(self, now);
            }
            fn wants(&self) -> Wants {
                $Role::wants(self)
            }
            fn deadline(&self) -> Option<Deadline> {
                $Role::deadline(self)
            }
        }
    )*};
}

http! { Server Client }

/// A socket and the machine on it.
#[derive(Debug)]
pub struct Link<H> {
    /// The socket.
    pub sock: TcpStream,
    /// The machine with its buffers.
    pub http: H,
    clock: Clock,
    alarm: Alarm,
}

impl<H: Http> Link<H> {
    /// Joins them.
    ///
    /// # Errors
    /// If the socket is not one any more.
    pub fn new(sock: TcpStream, http: H, clock: Clock) -> io::Result<Self> {
        // Output leaves in large pieces: Nagle's algorithm could only delay the last one.
        sock.set_nodelay(true)?;
        Ok(Self { sock, http, clock, alarm: Alarm::new() })
    }

    /// The moment now.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Waits until the socket or the clock has something to say to the machine, and tells it.
    ///
    /// It can be dropped while it waits, as one of several in `select!`: nothing is lost. It waits for
    /// ever where only the application can go on.
    pub async fn turn(&mut self) {
        let read = self.http.space().is_some();
        let write = !self.http.output().is_empty();
        let deadline = self.http.deadline();
        let Self { sock, alarm, clock, .. } = self;
        tokio::select! {
            ready = readiness(sock, read, write) => {
                let now = self.now();
                // An error of the socket makes it both readable and writable.
                let ready = ready.unwrap_or(Ready::ALL);
                if ready.is_readable() && let Some(space) = self.http.space() {
                    let read = self.sock.try_read(space);
                    self.http.received(now, read.into());
                }
                if ready.is_writable() && !self.http.output().is_empty() {
                    let written = self.sock.try_write(self.http.output());
                    self.http.transmitted(now, written.into());
                }
            }
            () = alarm.until(*clock, deadline) => self.http.expire(self.clock.now()),
        }
    }

    /// How the connection has ended, if it has. A half-close is none yet: it is made here, and then the
    /// machine lingers.
    pub fn ended(&mut self) -> Option<Ended> {
        match self.http.wants().end? {
            End::ShutdownWrite => {
                // The peer may be gone already.
                let _ = socket2::SockRef::from(&self.sock).shutdown(Shutdown::Write);
                let now = self.now();
                self.http.write_closed(now);
                None
            }
            End::Close(why) => Some(Ended::Close(why)),
            End::Abort(why) => Some(Ended::Abort(why)),
            End::Tunnel => Some(Ended::Tunnel),
        }
    }

    /// Closes the socket as the end demands it.
    pub fn close(self) {
        if let Some(End::Abort(_)) = self.http.wants().end {
            crate::reset(self.sock);
        }
    }
}

/// An end that is final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Close.
    Close(CloseReason),
    /// Close so that the peer notices.
    Abort(CloseReason),
    /// The connection left HTTP.
    Tunnel,
}

/// One read of what is there now, asked of the operating system itself.
///
/// `try_read` would not do where it matters that nothing is there: it answers from what the runtime
/// heard when it last looked at its selector, and an EOF may have come since.
pub fn read_now(sock: &TcpStream, space: &mut [u8]) -> Io {
    let sock = socket2::SockRef::from(sock);
    Io::from((&*sock).read(space))
}

async fn readiness(sock: &TcpStream, read: bool, write: bool) -> io::Result<Ready> {
    let interest = match (read, write) {
        (true, true) => Interest::READABLE | Interest::WRITABLE,
        (true, false) => Interest::READABLE,
        (false, true) => Interest::WRITABLE,
        (false, false) => return pending().await,
    };
    sock.ready(interest).await
}

/// A timer that is armed for the earliest deadline it was shown, and not again for every later one.
#[derive(Debug)]
pub struct Alarm {
    sleep: Pin<Box<Sleep>>,
    armed: Option<Instant>,
}

impl Alarm {
    #[allow(missing_docs)]
    #[must_use]
    #[allow(clippy::new_without_default, reason = "it needs a runtime")]
    pub fn new() -> Self {
        Self { sleep: Box::pin(tokio::time::sleep(Duration::ZERO)), armed: None }
    }

    /// Waits until the deadline, or for one that it was shown before and that has moved on since: then
    /// nothing is due, and to expire it does no harm.
    pub async fn until(&mut self, clock: Clock, deadline: Option<Deadline>) {
        let Some(Deadline { at, .. }) = deadline else { return pending().await };
        if self.armed.is_none_or(|armed| at < armed) {
            self.sleep.as_mut().reset(clock.to_std(at).into());
            self.armed = Some(at);
        }
        self.sleep.as_mut().await;
        self.armed = None;
    }
}
