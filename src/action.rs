//! What the machine asks of its driver, as answers to pure questions; and what the driver tells it.

use crate::persistence::CloseReason;

/// What one call of `receive` did.
///
/// `consumed` octets of the bytes given are done with, also where `event` is `None`: they must not be
/// presented again. The rest must be presented again, unchanged and in front of what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<E> {
    /// Octets consumed.
    pub consumed: usize,
    /// What was found. `None`: nothing more in these bytes, until something else happens.
    pub event: Option<E>,
}

impl<E> Step<E> {
    #[inline(always)]
    pub(crate) const fn nothing() -> Self {
        Self { consumed: 0, event: None }
    }

    #[inline(always)]
    pub(crate) const fn found(consumed: usize, event: E) -> Self {
        Self { consumed, event: Some(event) }
    }
}

/// What would move the connection on: the actions, as one pure answer. Ask after every call.
///
/// Several can be true at once, since a connection is full duplex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Wants {
    /// Bytes of the peer, or its EOF. Reading ahead while this is false is allowed.
    pub read: bool,
    /// A call of `emit`: the machine has bytes of its own to write (server).
    pub emit: bool,
    /// The application's head: a server owes a response; a client may start a request.
    pub head: bool,
    /// The application's content: some may be sent now.
    pub content: bool,
    /// How the connection ends: a server's once everything written was transmitted, a client's and
    /// [`End::Abort`] at once. It is final, and repeated until it is done.
    pub end: Option<End>,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Close the sending side (on TLS: send close_notify), then call `write_closed`, and go on
    /// reading: the machine lingers, so that the peer can read all before a reset reaches it.
    ShutdownWrite,
    /// Close. A server's output is all transmitted then; of a client's nothing more must be sent, for
    /// what was not sent is judged as safe to repeat. (A write that is already under way is reported
    /// as ever, before a verdict is asked for.)
    Close(CloseReason),
    /// Close so that the peer notices: with a reset where that is possible (S6.4).
    Abort(CloseReason),
    /// The connection leaves HTTP. What is unread, and what comes, is the application's.
    Tunnel,
}

/// How a transport was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lost {
    /// A read failed: nothing will come any more.
    Reset,
    /// A write failed: nothing can be sent any more, but an answer may still be waiting (S5.4).
    Write,
    /// A TLS alert, or a record that could not be decrypted.
    Tls,
    /// EOF without close_notify: a truncation cannot be told from an end (S6.7).
    Truncated,
}

/// Why a connection is to be retired by its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retire {
    /// The application wants it closed after this exchange.
    Application,
    /// The process is shutting down: nobody is to lose a request (S6.6).
    Drain,
    /// Too many connections: an idle one goes at once.
    Pressure,
}

/// What one read or write of a socket said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Io {
    /// So many octets; none read means EOF.
    Done(usize),
    /// It would block, was interrupted, or timed out.
    Nothing,
    /// It failed.
    Lost(Lost),
}

#[cfg(feature = "std")]
impl From<std::io::Result<usize>> for Io {
    fn from(result: std::io::Result<usize>) -> Self {
        use std::io::ErrorKind;
        match result {
            Ok(n) => Self::Done(n),
            Err(e) => match e.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {
                    Self::Nothing
                }
                ErrorKind::UnexpectedEof => Self::Lost(Lost::Truncated),
                _ => Self::Lost(Lost::Reset),
            },
        }
    }
}
