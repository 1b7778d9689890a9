//! One connection on completions.
//!
//! Receiving and sending are both under way at once. What is being sent belongs to the kernel: what the
//! machine writes in the meantime goes to a second buffer, and the two change places when the first is
//! empty.

use crate::ring::{Op, Ring};
use keepalive::server::{Config, Connection};
use keepalive::{CloseReason, End, Instant, Lost, Retire};
use keepalive_runtimes::buffers::Bytes;
use keepalive_runtimes::routes::{Shared, Task, answer};
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;

/// What the kernel is sending. Nobody writes to it, and nothing is moved in it, until that is done.
pub(crate) struct Flight(Bytes);

pub(crate) struct Peer {
    key: usize,
    sock: OwnedFd,
    http: Connection,
    task: Task,
    /// Received and not consumed.
    rx: Option<Bytes>,
    /// Written and not yet handed to the kernel.
    tx: Option<Bytes>,
    /// Handed to the kernel.
    flight: Option<Flight>,
    receiving: bool,
    /// It is over, with a reset if so noted; but the kernel may still hold something of it.
    over: Option<(CloseReason, bool)>,
    /// For when the loop was asked to call [`expire`](Self::expire).
    pub(crate) armed: Option<Instant>,
}

impl Peer {
    pub(crate) fn new(key: usize, sock: OwnedFd, config: &Config, now: Instant) -> Self {
        Self {
            key,
            sock,
            http: Connection::new(config, now),
            task: Task::Nothing,
            rx: None,
            tx: None,
            flight: None,
            receiving: false,
            over: None,
            armed: None,
        }
    }

    /// Runs whatever can run, and hands to the kernel what is its part. To be called after each
    /// completion, expiry and signal.
    pub(crate) fn turn(
        &mut self,
        now: Instant,
        ring: &mut Ring,
        shared: &mut Shared,
    ) -> io::Result<()> {
        if self.over.is_some() {
            return Ok(());
        }
        let mut rx = self.rx.take().unwrap_or_else(|| shared.rx.take());
        let mut tx = self.tx.take().unwrap_or_else(|| shared.tx.take());
        loop {
            let Self { http, task, .. } = self;
            answer(now, http, task, &mut rx, &mut tx, shared);
            match self.http.wants().end {
                Some(End::ShutdownWrite) => {
                    // Once everything is sent: nothing of it is in flight. The peer may be gone.
                    let _ = socket2::SockRef::from(&self.sock).shutdown(Shutdown::Write);
                    self.http.write_closed(now);
                    continue;
                }
                Some(End::Close(why)) => self.over = Some((why, false)),
                Some(End::Abort(why)) => self.over = Some((why, true)),
                // No route of this server leads there.
                Some(End::Tunnel) => self.over = Some((CloseReason::Tunnel, true)),
                None => {}
            }
            break;
        }
        if self.over.is_some() {
            shared.rx.give_up(rx);
            shared.tx.give_up(tx);
            return self.let_go(ring);
        }
        if self.flight.is_none() && !tx.is_empty() {
            let flight = self.flight.insert(Flight(tx));
            ring.send(&self.sock, self.key, flight.0.unread())?;
        } else {
            self.tx = shared.tx.give_back(tx);
        }
        // No more than there is room for when it comes: nothing else fills the buffer until then.
        if !self.receiving && self.http.wants().read && rx.room() > 0 {
            self.receiving = true;
            ring.recv(&self.sock, self.key, rx.room())?;
        }
        self.rx = shared.rx.give_back(rx);
        Ok(())
    }

    /// Bytes came, or an EOF, or an error.
    pub(crate) fn received(
        &mut self,
        now: Instant,
        result: Result<&[u8], i32>,
        shared: &mut Shared,
    ) {
        const ENOBUFS: i32 = 105;
        self.receiving = false;
        match result {
            Ok([]) => self.http.received_eof(now),
            Ok(bytes) => {
                let rx = self.rx.get_or_insert_with(|| shared.rx.take());
                // As many as were asked for, and so no more than there is room for.
                rx.spare()[..bytes.len()].copy_from_slice(bytes);
                rx.filled(bytes.len());
            }
            // All buffers of the group were in use. They are on their way back: ask again.
            Err(ENOBUFS) => {}
            Err(_) => self.http.lost(now, Lost::Reset),
        }
    }

    /// Bytes went, some or all of those in flight, or none ever will.
    pub(crate) fn sent(
        &mut self,
        now: Instant,
        result: Result<usize, i32>,
        ring: &mut Ring,
        shared: &mut Shared,
    ) -> io::Result<()> {
        let Some(Flight(mut bytes)) = self.flight.take() else { return Ok(()) };
        match result {
            Ok(n @ 1..) => {
                bytes.consume(n);
                self.http.transmitted(now, n as u64);
                if self.over.is_none() && !bytes.is_empty() {
                    let flight = self.flight.insert(Flight(bytes));
                    return ring.send(&self.sock, self.key, flight.0.unread());
                }
            }
            Ok(0) | Err(_) => {
                self.http.lost(now, Lost::Write);
                self.tx = None;
            }
        }
        shared.tx.give_up(bytes);
        Ok(())
    }

    /// The kernel is to give back what it holds.
    fn let_go(&mut self, ring: &mut Ring) -> io::Result<()> {
        if self.receiving {
            ring.cancel(Op::Recv(self.key))?;
        }
        if self.flight.is_some() {
            ring.cancel(Op::Send(self.key))?;
        }
        Ok(())
    }

    /// Why it is over, with a reset or without, when the kernel holds nothing of it any more. Only then
    /// may it be dropped.
    pub(crate) fn over(&self) -> Option<(CloseReason, bool)> {
        self.over.filter(|_| !self.receiving && self.flight.is_none())
    }

    // ---- what the loop asks and says ----

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.http.deadline().map(|deadline| deadline.at)
    }

    pub(crate) fn expire(&mut self, now: Instant) {
        self.http.expire(now);
    }

    pub(crate) fn retire(&mut self, now: Instant, new_ones_too: bool) {
        if new_ones_too || self.http.requests() > 0 {
            self.http.retire(now, Retire::Drain);
        }
    }

    pub(crate) fn into_socket(self) -> OwnedFd {
        self.sock
    }
}
