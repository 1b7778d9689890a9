#![cfg_attr(not(test), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = "keepalive"]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod action;
pub mod buffered;
mod bytes;
mod chunked;
pub mod client;
mod content;
mod deadline;
mod encode;
mod error;
mod framing;
mod grammar;
mod head;
mod limits;
mod persistence;
mod retry;
pub mod server;
mod time;

pub use action::{End, Io, Lost, Retire, Step, Wants};
pub use buffered::Buffer;
pub use chunked::Prefix;
pub use content::{Content, Frame, Moved, Plan, Started};
pub use deadline::{Deadline, Timer};
pub use encode::{Status, reason};
pub use error::{Blame, Failure, Kind, Part, SendError};
pub use framing::{RequestFraming, ResponseFraming};
pub use head::Version;
pub use head::fields::{Fields, Line, NO_FIELDS, Trailers};
pub use head::request::RequestHead;
pub use head::response::ResponseHead;
pub use persistence::{CloseReason, Persistence};
pub use retry::{Retry, Verdict};
#[cfg(feature = "std")]
pub use time::Clock;
pub use time::Instant;
