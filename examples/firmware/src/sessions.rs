//! What is tried: connections from their first octet to the last, each with its exchanges and with the
//! reasons for which it has to end.

use crate::tester::{Ask, Upload};
use keepalive::CloseReason;

/// One connection.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    /// For whoever reads that it failed.
    pub name: &'static str,
    /// The client is one of HTTP/1.0.
    pub http10: bool,
    /// What it asks, in this order.
    pub script: &'static [Ask],
    /// Behind it the client falls silent: it does not even look at its own deadline.
    pub silent: bool,
    /// Why the device closes.
    pub device: CloseReason,
    /// Why the client closes.
    pub client: CloseReason,
}

const HEAD: Ask = Ask { method: "HEAD", ..Ask::get("/log") };
const PIPELINED: Ask = Ask { pipelined: true, ..Ask::get("/temperature") };

/// All of them.
pub const ALL: &[Session] = &[
    // The device keeps an idle connection for 20 s and announces 15; the client gives it up a margin
    // before that. So it is always the client who closes, and no request can meet a close.
    Session {
        name: "one after the other",
        http10: false,
        script: &[
            Ask::get("/temperature"),
            Ask::post(Upload::Length(700)),
            Ask::post(Upload::Chunked(1_500)),
            Ask::get("/log"),
            HEAD,
            Ask::post(Upload::Expected(300)),
            Ask::get("/temperature"),
        ],
        silent: false,
        device: CloseReason::PeerClosed,
        client: CloseReason::IdleTimeout,
    },
    // A client that does not keep to it: the device half-closes in silence when time is up.
    Session {
        name: "idle timeout",
        http10: false,
        script: &[Ask::get("/temperature"), Ask::post(Upload::Length(1))],
        silent: true,
        device: CloseReason::IdleTimeout,
        client: CloseReason::PeerClosed,
    },
    // Kept because both said `keep-alive`, until content without a length ends it.
    Session {
        name: "HTTP/1.0",
        http10: true,
        script: &[
            Ask::get("/temperature"),
            Ask::post(Upload::Length(90)),
            Ask::get("/temperature"),
            Ask::get("/log"),
        ],
        silent: false,
        device: CloseReason::NotDelimited,
        client: CloseReason::ResponseClose,
    },
    // Only behind a response that shows that the server is one of 1.1 and persists.
    Session {
        name: "pipelined pairs",
        http10: false,
        script: &[
            Ask::get("/temperature"),
            Ask::get("/temperature"),
            PIPELINED,
            Ask::get("/log"),
            Ask { last: true, ..PIPELINED },
        ],
        silent: false,
        device: CloseReason::PeerSaidClose,
        client: CloseReason::SentClose,
    },
];
