//! Connections that are watched: the same calls, each told to a [`Watch`].

/// What both roles have in common, written once.
macro_rules! watched {
    ($Role:ident, $role:ident) => {
        use crate::action::{Lost, Retire, Step, Wants};
        use crate::content::{Content, Frame, Moved, Started};
        use crate::deadline::Deadline;
        use crate::error::SendError;
        use crate::head::fields::Line;
        use crate::persistence::Persistence;
        use crate::testkit::judge::Machine;
        use crate::testkit::watch::Watch;
        use crate::time::Instant;

        #[doc = concat!("A [`", stringify!($role), "::Connection`](crate::", stringify!($role),
                                                "::Connection) that is watched: the same calls.")]
        ///
        /// Made by `new`, it belongs to the stream that was made last on this thread and has no
        /// connection yet. `watched` names the watch.
        ///
        /// ```
        #[doc = concat!("use keepalive::testkit::", stringify!($role), "::{Config, Connection};")]
        /// use keepalive::testkit::{Net, Script, Side, Weather};
        /// let net = Net::new();
        /// let peer = Script::new("a peer that does nothing", Side::Server);
        /// let stream = net.stream(peer, Weather::calm(), 1);
        /// let conn = Connection::new(&Config::default(), net.clock().now());
        /// assert_eq!(conn.watch().broken(), stream.watch().broken());
        /// conn.check_invariants();
        /// ```
        #[derive(Clone, Debug)]
        pub struct Connection {
            inner: crate::$role::Connection,
            watch: Watch,
        }

        impl Connection {
            /// As `new` of the connection, for the stream that was made last on this thread.
            #[must_use]
            pub fn new(config: &Config, now: Instant) -> Self {
                Self::watched(*config, now, &Watch::claim())
            }

            /// A connection under this watch.
            #[must_use]
            pub fn watched(config: Config, now: Instant, watch: &Watch) -> Self {
                watch.withdraw();
                let inner = crate::$role::Connection::new(&config, now);
                let this = Self { inner, watch: watch.clone() };
                this.note();
                this
            }

            /// The watch.
            #[must_use]
            pub fn watch(&self) -> Watch {
                self.watch.clone()
            }

            /// The connection itself, as it is now.
            #[must_use]
            pub fn inner(&self) -> &crate::$role::Connection {
                &self.inner
            }

            fn note(&self) {
                self.inner.check_invariants();
                self.watch.snapshot(Machine::$Role(self.inner.clone()));
            }

            /// A call that made these octets, or none.
            fn made<T>(
                &self,
                now: Instant,
                what: &'static str,
                result: Result<T, SendError>,
                out: &[u8],
                written: impl FnOnce(&T) -> usize,
            ) -> Result<T, SendError> {
                if let Ok(done) = &result {
                    self.watch.calls(now, what, out.get(..written(done)));
                }
                self.note();
                result
            }

            fn called(&self, now: Instant, what: &'static str) {
                self.watch.calls(now, what, None);
                self.note();
            }

            /// As of the connection.
            pub fn receive<'b>(
                &mut self,
                now: Instant,
                unread: &'b [u8],
                room: usize,
            ) -> Step<Event<'b>> {
                self.watch.shows(now, unread, room);
                let step = self.inner.receive(now, unread, room);
                self.watch.consumed(now, step.consumed, step.event.as_ref().map(name));
                self.note();
                step
            }

            /// As of the connection.
            pub fn received_eof(&mut self, now: Instant) {
                self.watch.hears_eof(now);
                self.inner.received_eof(now);
                self.note();
            }

            /// As of the connection.
            pub fn transmitted(&mut self, now: Instant, n: u64) {
                self.watch.transmitted(now, n);
                self.inner.transmitted(now, n);
                self.note();
            }

            /// As of the connection.
            pub fn write_closed(&mut self, now: Instant) {
                self.watch.hears_write_closed(now);
                self.inner.write_closed(now);
                self.note();
            }

            /// As of the connection.
            pub fn lost(&mut self, now: Instant, how: Lost) {
                self.watch.hears_loss(now, how);
                self.inner.lost(now, how);
                self.note();
            }

            /// As of the connection.
            pub fn expire(&mut self, now: Instant) {
                let due = self.inner.deadline().is_some_and(|d| d.at <= now);
                self.inner.expire(now);
                let nothing: Option<&[u8]> = if due { None } else { Some(&[]) };
                self.watch.calls(now, "expire", nothing);
                self.note();
            }

            /// As of the connection.
            pub fn bypassed(&mut self, now: Instant, n: u64) {
                self.inner.bypassed(now, n);
                self.watch.bypassed(n);
                self.called(now, "bypassed");
            }

            /// As of the connection.
            pub fn skip_content(&mut self, now: Instant) {
                self.inner.skip_content(now);
                self.called(now, "skip_content");
            }

            /// As of the connection.
            pub fn abort(&mut self, now: Instant) {
                self.inner.abort(now);
                self.called(now, "abort");
            }

            /// As of the connection.
            pub fn retire(&mut self, now: Instant, why: Retire) {
                self.inner.retire(now, why);
                self.called(now, "retire");
            }

            /// As of the connection.
            ///
            /// # Errors
            /// As of the connection.
            pub fn send(
                &mut self,
                now: Instant,
                content: &[u8],
                out: &mut [u8],
            ) -> Result<Moved, SendError> {
                let sent = self.inner.send(now, content, out);
                self.made(now, "send", sent, out, |moved| moved.written)
            }

            /// As of the connection.
            ///
            /// # Errors
            /// As of the connection.
            pub fn frame(&mut self, now: Instant, len: u64) -> Result<Frame, SendError> {
                let frame = self.inner.frame(now, len);
                if let Ok(f) = &frame {
                    self.watch.frames(now, &f.prefix, f.content, f.suffix);
                }
                self.note();
                frame
            }

            /// As of the connection.
            ///
            /// # Errors
            /// As of the connection.
            pub fn finish<'f>(
                &mut self,
                now: Instant,
                trailers: impl IntoIterator<Item = impl Into<Line<'f>>>,
                out: &mut [u8],
            ) -> Result<usize, SendError> {
                let done = self.inner.finish(now, trailers, out);
                self.made(now, "finish", done, out, |n| *n)
            }

            /// As of the connection.
            #[must_use]
            pub fn wants(&self) -> Wants {
                self.inner.wants()
            }

            /// As of the connection.
            #[must_use]
            pub fn deadline(&self) -> Option<Deadline> {
                self.inner.deadline()
            }

            /// As of the connection.
            #[must_use]
            pub fn persistence(&self) -> Persistence {
                self.inner.persistence()
            }

            /// As of the connection.
            #[must_use]
            pub fn content_run(&self) -> u64 {
                self.inner.content_run()
            }

            /// As of the connection.
            #[must_use]
            pub fn untransmitted(&self) -> u64 {
                self.inner.untransmitted()
            }

            /// As of the connection.
            pub fn check_invariants(&self) {
                self.inner.check_invariants();
            }
        }
    };
}

/// A server's connection, watched.
pub mod server {
    pub use crate::server::{Config, Event, KeepAliveField};

    use crate::prepared::Field;
    use crate::status::Status;

    watched! { Server, server }

    const fn name(event: &Event<'_>) -> &'static str {
        match event {
            Event::Request(_) => "request",
            Event::Content(_) => "content",
            Event::End(_) => "end",
            Event::Failed(_) => "failed",
        }
    }

    impl Connection {
        /// As of the connection.
        pub const HEAD_ROOM: usize = crate::server::Connection::HEAD_ROOM;
        /// As of the connection.
        pub const EMIT_ROOM: usize = crate::server::Connection::EMIT_ROOM;

        /// As of the connection.
        pub fn read_content(&mut self, now: Instant) {
            self.inner.read_content(now);
            self.called(now, "read_content");
        }

        /// As of the connection.
        ///
        /// # Errors
        /// As of the connection.
        pub fn inform<'f>(
            &mut self,
            now: Instant,
            status: u16,
            fields: impl IntoIterator<Item = impl Into<Field<'f>>>,
            out: &mut [u8],
        ) -> Result<usize, SendError> {
            let done = self.inner.inform(now, status, fields, out);
            self.made(now, "inform", done, out, |n| *n)
        }

        /// As of the connection.
        ///
        /// # Errors
        /// As of the connection.
        pub fn reply<'f, 's>(
            &mut self,
            now: Instant,
            status: impl Into<Status<'s>>,
            fields: impl IntoIterator<Item = impl Into<Field<'f>>>,
            content: &[u8],
            out: &mut [u8],
        ) -> Result<usize, SendError> {
            let done = self.inner.reply(now, status, fields, content, out);
            self.made(now, "reply", done, out, |n| *n)
        }

        /// As of the connection.
        ///
        /// # Errors
        /// As of the connection.
        pub fn respond<'f, 's>(
            &mut self,
            now: Instant,
            status: impl Into<Status<'s>>,
            fields: impl IntoIterator<Item = impl Into<Field<'f>>>,
            content: Content,
            out: &mut [u8],
        ) -> Result<Started, SendError> {
            let done = self.inner.respond(now, status, fields, content, out);
            self.made(now, "respond", done, out, |started| started.written)
        }

        /// As of the connection.
        ///
        /// # Errors
        /// As of the connection.
        pub fn emit(&mut self, now: Instant, out: &mut [u8]) -> Result<usize, SendError> {
            let done = self.inner.emit(now, out);
            self.made(now, "emit", done, out, |n| *n)
        }

        /// As of the connection.
        ///
        /// # Errors
        /// As of the connection.
        pub fn emit_with<'f>(
            &mut self,
            now: Instant,
            fields: impl IntoIterator<Item = impl Into<Field<'f>>>,
            out: &mut [u8],
        ) -> Result<usize, SendError> {
            let done = self.inner.emit_with(now, fields, out);
            self.made(now, "emit", done, out, |n| *n)
        }

        /// As of the connection.
        #[must_use]
        pub fn is_idle(&self) -> bool {
            self.inner.is_idle()
        }

        /// As of the connection.
        #[must_use]
        pub fn requests(&self) -> u32 {
            self.inner.requests()
        }

        /// As of the connection.
        #[must_use]
        pub fn fits(&self, out_room: usize) -> usize {
            self.inner.fits(out_room)
        }
    }
}

/// A client's connection, watched.
pub mod client {
    pub use crate::client::{Config, Event, Reuse};

    use crate::action::Io;
    use crate::prepared::Field;
    use crate::retry::Retry;

    watched! { Client, client }

    const fn name(event: &Event<'_>) -> &'static str {
        match event {
            Event::Interim(_) => "interim",
            Event::Response(_) => "response",
            Event::Content(_) => "content",
            Event::End(_) => "end",
            Event::Failed(_) => "failed",
        }
    }

    impl Connection {
        /// As of the connection.
        pub fn checkout(&mut self, now: Instant, read: Io, unread: &[u8]) -> Reuse {
            self.watch.checks_out(now, read, unread);
            let reuse = self.inner.checkout(now, read, unread);
            if matches!(reuse, Reuse::Ready { .. } | Reuse::ImmediateOnly) {
                self.watch.consumed(now, unread.len(), Some("checked out"));
            }
            self.note();
            reuse
        }

        /// As of the connection.
        ///
        /// # Errors
        /// As of the connection.
        pub fn request<'f>(
            &mut self,
            now: Instant,
            method: &str,
            target: impl AsRef<[u8]>,
            fields: impl IntoIterator<Item = impl Into<Field<'f>>>,
            content: Content,
            out: &mut [u8],
        ) -> Result<Started, SendError> {
            let done = self.inner.request(now, method, target, fields, content, out);
            self.made(now, "request", done, out, |started| started.written)
        }

        /// As of the connection.
        #[must_use]
        pub fn reuse(&self, now: Instant) -> Reuse {
            self.inner.reuse(now)
        }

        /// As of the connection.
        #[must_use]
        pub fn retry(&self, nth: usize) -> Option<Retry> {
            self.inner.retry(nth)
        }

        /// As of the connection.
        #[must_use]
        pub fn outstanding(&self) -> usize {
            self.inner.outstanding()
        }

        /// As of the connection.
        #[must_use]
        pub fn fits(&self, out_room: usize) -> usize {
            self.inner.fits(out_room)
        }
    }
}
