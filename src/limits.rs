//! Every bound with its reason. Those that an embedder may move are defaults of the configurations.

/// Head, start line included. Apache allows 8 KiB a line, nginx 32 KiB in all; cookies need room.
/// Bounds the memory that one peer can claim.
pub(crate) const HEAD: u16 = 32 * 1024;
/// Request target; above it, 414. RFC 9112 §3 asks for at least 8000.
pub(crate) const TARGET: u16 = 8 * 1024;
/// Method, in octets; above it, 501. The longest registered one has 16.
pub(crate) const METHOD: usize = 32;
/// Field lines in a request; Apache has 100. Bounds the work per octet of a consumer.
pub(crate) const REQUEST_FIELDS: u16 = 100;
/// Field lines in a response: one's own servers may be verbose.
pub(crate) const RESPONSE_FIELDS: u16 = 1000;
/// Trailer section, in octets.
pub(crate) const TRAILERS: u16 = 16 * 1024;
/// Members of all Connection fields together; more, and the connection does not persist (S1.1).
pub(crate) const CONNECTION_OPTIONS: u8 = 32;
/// Protocols of Upgrade fields that an intermediary passes on. Each goes out on a line of its own, which
/// is longer than what it came as.
pub(crate) const PROTOCOLS: usize = 16;
/// Empty lines before a request line (RFC 9112 §2.2 says at least one); the next is an error.
pub(crate) const BLANK_LINES: u8 = 4;
/// Octets of CR and LF before a status line or behind a response (S2.5).
pub(crate) const BLANK_OCTETS: u8 = 8;
/// Line of a chunk size with its extensions, CRLF not counted.
pub(crate) const CHUNK_LINE: u16 = 4 * 1024;
/// Digits of a chunk size: 64 bits.
pub(crate) const CHUNK_DIGITS: u8 = 16;
/// Overhead of the chunked coding beyond what honest streams need (CVE-2023-39326).
pub(crate) const CHUNK_EXCESS: u32 = 16 * 1024;
/// Overhead that each chunk may have for nothing: Go's measure.
pub(crate) const CHUNK_GRACE: u64 = 16;
/// Largest length of content: it must fit a signed 64-bit integer everywhere else.
pub(crate) const LENGTH: u64 = i64::MAX as u64;
/// Requests on one connection (nginx: 1000).
pub(crate) const REQUESTS: u32 = 1000;
/// Request content that is read only to be thrown away (Go: 256 KiB).
pub(crate) const DISCARD: u32 = 256 * 1024;
/// Response content that a client reads only to keep the connection.
pub(crate) const CLIENT_DISCARD: u32 = 1024 * 1024;
/// Request content that a client still sends after an early final response (S2.5).
pub(crate) const EARLY_FINISH: u32 = 64 * 1024;
/// Octets read while lingering; beyond it the connection is aborted (S6.4).
pub(crate) const LINGER: u32 = 16 * 1024 * 1024;
/// Interim responses before a final one.
pub(crate) const INTERIM: u8 = 64;
/// Requests that a client has in flight at once.
pub(crate) const PIPELINE: usize = 4;

const _: () = {
    assert!(TARGET as usize + METHOD < HEAD as usize, "a start line must fit a head");
    assert!(CHUNK_LINE as u32 <= CHUNK_EXCESS);
    assert!(BLANK_OCTETS >= 2 * BLANK_LINES);
};
