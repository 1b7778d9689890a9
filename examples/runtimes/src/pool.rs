//! A small pool of client connections to one server, on tokio.
//!
//! It does what every pool has to, and gets first what most get last (S2.6): before a connection is used
//! again it is looked at, by a read that does not block and `checkout`. A server that closed in the
//! meantime is noticed there, and not in the middle of the next exchange.

use crate::link::{Link, read_now};
use keepalive::buffered::Client;
use keepalive::client::{Config, Reuse};
use keepalive::{Clock, Io};
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A connection to the server.
pub type Upstream = Link<Client<Vec<u8>>>;

/// How long a connection may take to be established.
const CONNECT: Duration = Duration::from_secs(5);

/// Room for a request head: as long a one as a server of this crate accepts, with what a relay adds.
const OUTPUT: usize = 64 * 1024;

/// The idle connections to one server, and how to make more.
#[derive(Debug)]
pub struct Pool {
    address: String,
    config: Config,
    clock: Clock,
    /// The one used last is on top. The others grow old below it, and end by themselves.
    idle: Mutex<Vec<Upstream>>,
    made: AtomicU64,
    reused: AtomicU64,
    stale: AtomicU64,
}

/// What a pool has done so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Connections made.
    pub made: u64,
    /// Times that one was used again.
    pub reused: u64,
    /// Idle ones that turned out to be of no use any more.
    pub stale: u64,
}

impl Pool {
    /// An empty pool for the server at `address`, a host and a port.
    #[must_use]
    pub fn new(address: String, config: Config, clock: Clock) -> Self {
        Self {
            address,
            config,
            clock,
            idle: Mutex::new(Vec::new()),
            made: AtomicU64::new(0),
            reused: AtomicU64::new(0),
            stale: AtomicU64::new(0),
        }
    }

    /// A connection that can take a request: one that was kept, or a new one.
    ///
    /// # Errors
    /// If there is none, and none can be made.
    pub async fn checkout(&self) -> io::Result<Upstream> {
        while let Some(mut kept) = self.pop() {
            let Link { http, sock, .. } = &mut kept;
            let reuse = http.checkout(self.clock.now(), |space| read_now(sock, space));
            if matches!(reuse, Reuse::Ready { .. } | Reuse::ImmediateOnly) {
                self.reused.fetch_add(1, Ordering::Relaxed);
                return Ok(kept);
            }
            self.stale.fetch_add(1, Ordering::Relaxed);
        }
        self.connect().await
    }

    /// A new connection: for a retry it must be one (S5.2), since what closed one that was idle may
    /// have closed them all.
    ///
    /// # Errors
    /// If none can be made, or not in time.
    pub async fn connect(&self) -> io::Result<Upstream> {
        let connected = timeout(CONNECT, TcpStream::connect(&self.address)).await;
        let sock = connected.map_err(|_| io::Error::from(ErrorKind::TimedOut))??;
        self.made.fetch_add(1, Ordering::Relaxed);
        let (rx, tx) = (vec![0; self.config.receive_buffer()], vec![0; OUTPUT]);
        Link::new(sock, Client::new(&self.config, self.clock.now(), rx, tx), self.clock)
    }

    /// Keeps a connection if it is worth it; else it is closed.
    pub fn give_back(&self, link: Upstream) {
        match link.http.reuse(self.clock.now()) {
            Reuse::Ready { .. } | Reuse::ImmediateOnly => self.lock().push(link),
            _ => link.close(),
        }
    }

    /// Closes the idle connections that are over: the server closed them, or their time has passed.
    /// Call it now and then, so that none of them lies about half closed until somebody wants it.
    pub fn sweep(&self) {
        let now = self.clock.now();
        self.lock().retain_mut(|link| {
            let Link { http, sock, .. } = link;
            if let Some(space) = http.space() {
                match read_now(sock, space) {
                    // Nothing is there, and nothing was to be expected.
                    Io::Nothing => {}
                    read => http.received(now, read),
                }
            }
            // No event can come of it: no request is in flight. It is a verdict, or none.
            let (_, out) = http.next(now, 0);
            out.wants().end.is_none()
        });
    }

    /// What it has done so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Tally { made: get(&self.made), reused: get(&self.reused), stale: get(&self.stale) }
    }

    fn pop(&self) -> Option<Upstream> {
        self.lock().pop()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Upstream>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
