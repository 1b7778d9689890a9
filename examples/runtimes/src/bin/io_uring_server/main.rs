//! A server on io_uring, one thread, completions in place of readiness:
//!
//! ```sh
//! cargo run --release --manifest-path examples/runtimes/Cargo.toml --bin io_uring_server -- --listen 127.0.0.1:8080
//! ```
//!
//! then `curl http://127.0.0.1:8080/`. SIGTERM or SIGINT drains it; then it tells what it did. Where there
//! is no io_uring (another system, an old kernel, a container that forbids it) it says so and ends with
//! status 3.
//!
//! What is new here is that buffers belong to the kernel while it works on them. Three files: here the
//! loop; in `peer.rs` what one connection does with a completion ([`peer::Peer::turn`]: read that first);
//! in `ring.rs` the operations, with all the unsafe code that there is. The application is that of
//! `epoll_server`.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
mod peer;
#[cfg(target_os = "linux")]
mod ring;
#[cfg(target_os = "linux")]
mod server;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    server::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("io_uring_server: io_uring is a thing of Linux");
    ExitCode::from(3)
}
