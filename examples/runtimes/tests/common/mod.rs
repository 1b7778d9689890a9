//! A program under test, and a socket to talk to it. Everything is bounded in time.
#![allow(dead_code, reason = "not every test uses all of it")]

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// No single wait of a test takes longer.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A program that has said where it listens. It is killed at the latest when the test ends.
pub struct Program {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub address: SocketAddr,
}

/// A program that cannot run here, and what it said.
pub struct NotHere(pub String);

impl Program {
    pub fn start(path: &str, arguments: &[&str]) -> Self {
        Self::try_start(path, arguments).unwrap_or_else(|NotHere(why)| panic!("{path}: {why}"))
    }

    /// Status 3 is how an example says that it cannot run on this machine.
    pub fn try_start(path: &str, arguments: &[&str]) -> Result<Self, NotHere> {
        let mut command = Command::new(path);
        command.args(["--listen", "127.0.0.1:0"]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it was built");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a first line");
        let Some(address) = line.strip_prefix("listening on ") else {
            let ended = child.wait_with_output().expect("it ended");
            let why = String::from_utf8_lossy(&ended.stderr).into_owned();
            assert_eq!(ended.status.code(), Some(3), "{why}");
            return Err(NotHere(why));
        };
        let address = address.trim().parse().expect("an address");
        Ok(Self { child, stdout, address })
    }

    /// A connection to it.
    pub fn connect(&self) -> Peer {
        Peer::connect(self.address)
    }

    /// Asks it to drain.
    pub fn terminate(&self) {
        let pid = self.child.id().to_string();
        let done = Command::new("kill").args(["-TERM", &pid]).status().expect("a kill");
        assert!(done.success());
    }

    /// Waits for its end. What it told of itself, and nothing on its other stream.
    pub fn account(mut self) -> Told {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            assert!(begun.elapsed() < 2 * PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        let mut told = String::new();
        self.stdout.read_to_string(&mut told).expect("text");
        let mut errors = String::new();
        self.child.stderr.take().expect("a pipe").read_to_string(&mut errors).expect("text");
        assert!(status.success(), "{status}: {errors}");
        assert_eq!(errors, "");
        Told(told)
    }

    /// Drains it, and waits for its end.
    pub fn end(self) -> Told {
        self.terminate();
        self.account()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lines of `name value`.
#[derive(Debug)]
pub struct Told(pub String);

impl Told {
    /// The number behind this name; 0 if there is none.
    pub fn number(&self, name: &str) -> u64 {
        let line = self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0, |n| n.split(' ').next().expect("a word").parse().expect("a number"))
    }

    /// Every connection was closed for a reason that was counted.
    pub fn is_complete(&self) {
        assert_eq!(self.number("connections"), self.number("closes"), "{}", self.0);
        let reasons = self.0.lines().filter_map(|line| line.strip_prefix("close "));
        let by_reason: u64 =
            reasons.map(|l| l.split(' ').nth(1).expect("n").parse::<u64>().expect("n")).sum();
        assert_eq!(by_reason, self.number("closes"), "{}", self.0);
    }
}

/// A peer that speaks in octets.
pub struct Peer(pub TcpStream);

impl Peer {
    pub fn connect(address: SocketAddr) -> Self {
        Self::of(TcpStream::connect_timeout(&address, PATIENCE).expect("a connection"))
    }

    pub fn of(sock: TcpStream) -> Self {
        sock.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        sock.set_write_timeout(Some(PATIENCE)).expect("a time-out");
        sock.set_nodelay(true).expect("an option");
        Self(sock)
    }

    pub fn send(&mut self, text: impl AsRef<[u8]>) {
        self.0.write_all(text.as_ref()).expect("it takes what is sent");
    }

    /// A head, up to and with the empty line.
    pub fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut octet = [0];
            match self.0.read(&mut octet) {
                Ok(1) => head.push(octet[0]),
                other => panic!("{other:?} behind {}", head.escape_ascii()),
            }
        }
        String::from_utf8(head).expect("text")
    }

    pub fn content(&mut self, n: usize) -> Vec<u8> {
        let mut content = vec![0; n];
        self.0.read_exact(&mut content).expect("all of the content");
        content
    }

    /// A response with a Content-Length: head and content.
    pub fn response(&mut self) -> (String, Vec<u8>) {
        let head = self.head();
        let length = field(&head, "content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
        (head, self.content(length))
    }

    /// Everything until the peer closes, and whether it did so with a reset.
    pub fn rest(&mut self) -> (String, bool) {
        let mut rest = Vec::new();
        let reset = self.0.read_to_end(&mut rest).is_err();
        (String::from_utf8_lossy(&rest).into_owned(), reset)
    }

    pub fn half_close(&mut self) {
        let _ = self.0.shutdown(Shutdown::Write);
    }

    /// Closes with a reset.
    pub fn reset(self) {
        let _ = socket2::SockRef::from(&self.0).set_linger(Some(Duration::ZERO));
    }
}

/// The value of a field.
pub fn field(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| {
        let (n, value) = line.split_once(": ")?;
        n.eq_ignore_ascii_case(name).then(|| value.to_owned())
    })
}

/// A place for a server that the test itself is.
pub fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    (listener, address)
}

/// A request with Host and without content.
pub fn get(target: &str, fields: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

/// A number for each place, so that nothing can be lost or exchanged unseen.
pub fn pattern(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i ^ i >> 8 ^ i >> 16) as u8).collect()
}
