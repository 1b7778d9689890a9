//! The loop of the tutorial: page and files are one, and it keeps the contract.

use super::read;

/// Step 3 shows in one block what two files hold: the imports, and the loop.
#[test]
fn the_loop_of_the_page_is_the_one_that_is_tested() {
    let page = read("docs/01-tutorial.md");
    let imports = read("docs/tutorial/mod.rs");
    let (_, imports) = imports.split_once('\n').expect("a comment");
    let imports = imports.strip_suffix("\ninclude!(\"drive.rs\");\n").expect("the loop");
    let code = read("docs/tutorial/drive.rs");
    let (_, code) = code.split_once('\n').expect("a comment");
    assert!(page.contains(&format!("```rust\n{imports}{code}```")), "page and files differ");
}

/// Under the kit: its imports are swapped, as `docs/08-testing.md` has it.
mod under_test {
    use keepalive::NO_FIELDS;
    use keepalive::server::{Config, Event};
    use keepalive::testkit::buffered::{Server, ServerOut};
    use keepalive::testkit::{Clock, Stream as TcpStream, Trial, seeds};
    use keepalive::{CloseReason, End, Io, SendError};
    use std::io::{self, Read, Write};
    use std::net::Shutdown;
    use std::time::Duration;

    include!("../../docs/tutorial/drive.rs");

    /// Greets, and echoes what has content.
    #[derive(Default)]
    struct Both {
        open: bool,
    }

    impl Application for Both {
        fn event(&mut self, event: Event<'_>, out: &mut Out<'_>) -> Result<(), SendError> {
            match event {
                Event::Request(head) if head.is_connect() => out.reply(501, NO_FIELDS, b"")?,
                Event::Request(head) if head.has_content() => {
                    out.read_content();
                    out.respond(200, NO_FIELDS, head.outbound())?;
                    self.open = true;
                }
                Event::Request(head) => out.reply(200, NO_FIELDS, head.target())?,
                Event::Content(piece) => assert_eq!(out.send(piece)?, piece.len()),
                Event::End(_) => {
                    if std::mem::take(&mut self.open) {
                        out.finish(NO_FIELDS)?;
                    }
                }
                Event::Failed(_) => {
                    if std::mem::take(&mut self.open) {
                        out.abort();
                    }
                }
            }
            Ok(())
        }

        fn room(&self, http: &Http) -> usize {
            http.room()
        }
    }

    #[test]
    fn the_loop_keeps_the_contract() {
        let config = Config::origin();
        for seed in seeds(if cfg!(debug_assertions) { 500 } else { 5_000 }) {
            let app = Both::default();
            let report =
                Trial::of_server(seed).run(|s, clock| drive(s, &config, clock, &mut { app }));
            report.check().expect("no error of the socket");
        }
    }
}
