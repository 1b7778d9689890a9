//! A connection of either kind, as one.

use super::event::Ev;
use keepalive::{Deadline, Instant, Moved, Persistence, SendError, Step, Wants, client, server};

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Conn {
    Server(server::Connection),
    Client(client::Connection),
}

/// The same on either.
macro_rules! both {
    ($self:expr, $c:ident => $e:expr) => {
        match $self {
            Conn::Server($c) => $e,
            Conn::Client($c) => $e,
        }
    };
}
pub(crate) use both;

impl Conn {
    pub(crate) fn receive(&mut self, now: Instant, unread: &[u8], room: usize) -> Step<Ev> {
        match self {
            Self::Server(c) => {
                let s = c.receive(now, unread, room);
                Step { consumed: s.consumed, event: s.event.map(Ev::of_server) }
            }
            Self::Client(c) => {
                let s = c.receive(now, unread, room);
                Step { consumed: s.consumed, event: s.event.map(Ev::of_client) }
            }
        }
    }

    pub(crate) fn expire(&mut self, now: Instant) {
        both!(self, c => c.expire(now));
    }

    pub(crate) fn wants(&self) -> Wants {
        both!(self, c => c.wants())
    }

    pub(crate) fn deadline(&self) -> Option<Deadline> {
        both!(self, c => c.deadline())
    }

    pub(crate) fn persistence(&self) -> Persistence {
        both!(self, c => c.persistence())
    }

    pub(crate) fn check_invariants(&self) {
        both!(self, c => c.check_invariants());
    }

    pub(crate) fn send(
        &mut self,
        now: Instant,
        content: &[u8],
        out: &mut [u8],
    ) -> Result<Moved, SendError> {
        both!(self, c => c.send(now, content, out))
    }

    pub(crate) fn server(&mut self) -> Result<&mut server::Connection, Stop> {
        match self {
            Self::Server(c) => Ok(c),
            Self::Client(_) => Err(Stop::Fault("a call for servers only".to_owned())),
        }
    }

    pub(crate) fn client(&mut self) -> Result<&mut client::Connection, Stop> {
        match self {
            Self::Client(c) => Ok(c),
            Self::Server(_) => Err(Stop::Fault("a call for clients only".to_owned())),
        }
    }
}

/// Why a call did not go through.
pub(crate) enum Stop {
    Refused(SendError),
    Fault(String),
}

impl From<SendError> for Stop {
    fn from(e: SendError) -> Self {
        Self::Refused(e)
    }
}

impl From<String> for Stop {
    fn from(e: String) -> Self {
        Self::Fault(e)
    }
}
