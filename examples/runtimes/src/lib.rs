//! What the examples have in common, and what is none of the machine's business: arguments, the
//! account that is given at the end, memory, dates, and a resource or two of the operating system.

pub mod account;
pub mod buffers;
pub mod fields;
pub mod link;
pub mod pool;
pub mod routes;

use std::time::Duration;

/// Seconds, with a fraction or without: for an option.
///
/// # Errors
/// What is wrong with the text.
pub fn seconds(text: &str) -> Result<Duration, &'static str> {
    let number: f64 = text.parse().map_err(|_| "not a number")?;
    Duration::try_from_secs_f64(number).map_err(|_| "not a time")
}

/// As many open files as this process may have. A shell allows 1024 at first, of which each connection
/// needs one.
pub fn raise_open_files() {
    // If it fails there are fewer connections, and `accept` says so.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
}

/// Closes with a reset, so that the peer can tell an aborted response from one that ended (S6.4).
pub fn reset<S: std::os::fd::AsFd>(sock: S) {
    // If it fails the peer sees an ordinary close, and a length that is not reached.
    let _ = socket2::SockRef::from(&sock).set_linger(Some(Duration::ZERO));
    drop(sock);
}
