// Step 3 of docs/01-tutorial.md, for the steps behind it.
use keepalive::buffered::{Server, ServerOut};
use keepalive::server::{Config, Event};
use keepalive::{Clock, CloseReason, End, Io, SendError};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

include!("drive.rs");
