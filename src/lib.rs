#![doc = include_str!("../README.md")]
//!
//! # The paved path
//!
//! 1. [`buffered::Server`] or [`buffered::Client`], if two buffers a connection suit you.
//! 2. [`server::Connection`] or [`client::Connection`] on buffers of your own.
//!
//! The [`guide`] begins with a server from an empty file, and goes through every runtime. The contract:
//!
//! * After any call (read, write, expiry, answer): `receive` until it returns no event, then `emit`, then
//!   write, then look at `wants` and `deadline`.
//! * Apply [`Step::consumed`] always, also without an event; show the rest again, unchanged, in front.
//! * An `Err` is the caller's mistake and changed nothing. What the peer does comes as an event, or in
//!   [`Wants`].
//! * After a `Request` exactly one `End` or `Failed` comes, unless its content is skipped or answered
//!   unread.
//! * Content is held until `read_content`.
//! * `room` is what you can take: `fits(output space)` if it lands in your output, 0 to pause.
//! * Bytes leave in the order of the calls that made them; `transmitted` counts them all. A call writes to
//!   the front of the output space it is given; what stood behind may be gone, too.
//! * Read ahead while there is space, and always when [`Wants::read`] is true; never into an empty slice,
//!   which looks like EOF.
//! * [`Content::Length`] ends itself, [`Content::Unknown`] ends with `finish`; who cannot deliver calls
//!   `abort`.
//! * [`Wants::end`] is final, and repeated until it is done.
//! * Call `expire` when `deadline` is due; early, late or twice is harmless; a later deadline needs no
//!   re-arming.
//! * Before a client connection is used again: one read that does not block, then `checkout`; after a
//!   failure `retry` judges.
//!
//! Rules are cited as `S1.3-4`, with the section of the RFC beside them.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]
// Input never panics, and neither does misuse.
#![deny(
    clippy::expect_used,
    clippy::get_unwrap,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unreachable,
    clippy::unwrap_used
)]
#![warn(unreachable_pub)]
#![deny(clippy::missing_errors_doc, clippy::missing_panics_doc, clippy::must_use_candidate)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod action;
mod block;
pub mod buffered;
mod bytes;
mod chunked;
pub mod client;
mod content;
mod copy;
mod deadline;
mod encode;
mod error;
pub mod forward;
mod framing;
mod grammar;
pub mod guide;
mod head;
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub mod http;
mod limits;
mod persistence;
mod phase;
mod prepared;
mod retry;
pub mod server;
mod status;
mod teardown;
#[cfg(feature = "testkit")]
#[cfg_attr(docsrs, doc(cfg(feature = "testkit")))]
pub mod testkit;
mod time;

pub use action::{End, Io, Lost, Retire, Step, Wants};
pub use buffered::Buffer;
pub use chunked::Prefix;
pub use content::{Content, Frame, Moved, Plan, Started};
pub use deadline::{Deadline, Timer};
pub use error::{Blame, Failure, Kind, Part, SendError};
pub use framing::{RequestFraming, ResponseFraming};
pub use head::Version;
pub use head::fields::{Fields, Line, NO_FIELDS, Trailers};
pub use head::request::RequestHead;
pub use head::response::ResponseHead;
pub use persistence::{CloseReason, Persistence};
pub use prepared::{Block, Field, Prepared};
pub use retry::{Retry, Verdict};
pub use status::{Status, reason};
#[cfg(feature = "std")]
pub use time::Clock;
pub use time::Instant;
