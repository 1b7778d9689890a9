// The loop of docs/01-tutorial.md, step 3. A test holds the two together.

type Http = Server<Vec<u8>>;
type Out<'a> = ServerOut<'a, Vec<u8>>;

/// What the loop asks of an application. One value serves one connection.
trait Application {
    /// Something was received.
    fn event(&mut self, event: Event<'_>, out: &mut Out<'_>) -> Result<(), SendError>;

    /// How much content it can take now.
    fn room(&self, _http: &Http) -> usize {
        usize::MAX
    }

    /// There may be room for more output.
    fn go_on(&mut self, _out: &mut Out<'_>) -> Result<(), SendError> {
        Ok(())
    }
}

/// How long to wait for a write while there may be something to read, too.
const TURN: Duration = Duration::from_millis(20);

/// Drives one connection until it is closed, and says why it was.
fn drive(
    mut sock: TcpStream,
    config: &Config,
    clock: Clock,
    app: &mut impl Application,
) -> io::Result<CloseReason> {
    let mut http = Server::allocate(config, clock.now());
    loop {
        // What do the bytes at hand mean, and what is said to it?
        loop {
            let mut said = app.go_on(&mut http.out(clock.now()));
            let room = app.room(&http);
            let (event, mut out) = http.next(clock.now(), room);
            let more = event.is_some();
            if let Some(event) = event {
                said = said.and(app.event(event, &mut out));
            }
            if said.is_err() {
                out.abort(); // a call out of place; or the response was lost, and then it changes nothing
            }
            if !more {
                break;
            }
        }
        // Is it over?
        match http.wants().end {
            Some(End::ShutdownWrite) => {
                let _ = sock.shutdown(Shutdown::Write); // the peer may be gone already
                http.write_closed(clock.now());
                continue;
            }
            Some(End::Close(why) | End::Abort(why)) => return Ok(why),
            Some(End::Tunnel) => return Ok(CloseReason::Tunnel),
            None => {}
        }
        let wait = clock.until(http.deadline());
        let short = wait.map_or(TURN, |wait| wait.min(TURN));
        if !http.output().is_empty() {
            sock.set_write_timeout(Some(short))?;
            let written = Io::from(sock.write(http.output()));
            http.transmitted(clock.now(), written);
            // The peer may be sending, and read nothing before it is done: where it takes no output,
            // look whether something came.
            if written == Io::Nothing && let Some(space) = http.space() {
                sock.set_nonblocking(true)?;
                let read = sock.read(space);
                sock.set_nonblocking(false)?;
                http.received(clock.now(), read.into());
            }
        } else if let Some(space) = http.space() {
            sock.set_read_timeout(wait)?;
            let read = sock.read(space);
            http.received(clock.now(), read.into());
        } else {
            std::thread::sleep(short); // only the application can go on
            http.expire(clock.now());
        }
    }
}
