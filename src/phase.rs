//! Phases of the inbound half, and the steps between them: one table for each role.
//!
//! Every change of phase goes through the machine's `enter`, which holds it against this table in
//! builds with debug assertions; the tables and diagrams in `docs/02-states.md` are printed from
//! it. A phase may
//! always stay as it is, and any may be aborted.

macro_rules! phases {
    ($(#[$doc:meta])* $Phase:ident: $($name:ident $means:literal)*;
     $($from:ident => $to:ident $why:literal;)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum $Phase { $(#[doc = $means] $name,)* }

        impl $Phase {
            /// Whether one phase may follow another.
            pub(crate) fn may_become(self, next: Self) -> bool {
                self == next || next == Self::Over
                    || matches!((self, next), $((Self::$from, Self::$to))|*)
            }

            #[cfg(test)]
            const ALL: &'static [Self] = &[$(Self::$name,)*];
            #[cfg(test)]
            const MEANINGS: &'static [&'static str] = &[$($means,)*];
            #[cfg(test)]
            const STEPS: &'static [(Self, Self, &'static str)] =
                &[$((Self::$from, Self::$to, $why),)*];
        }
    };
}

phases! {
    /// What a server's inbound half is at.
    ServerPhase:
    Idle "between requests"
    Head "a request head has begun"
    Held "the head is told; the content waits for the application to ask for it"
    Reading "the content goes to the application"
    Discard "the content is read to be thrown away, to keep the connection"
    Whole "the request is whole, and its response is not"
    Sink "nothing more is interpreted; it closes when the response is out"
    Linger "half-closed: it reads until the peer closes, too"
    Tunnel "the connection has left HTTP"
    Over "all is over";
    Idle => Head "first octet of a request";
    Idle => Sink "idle or unused for too long, retired, EOF, too many empty lines";
    Head => Held "head complete, content to come";
    Head => Reading "head complete, no content";
    Head => Sink "error, time-out, EOF";
    Held => Reading "read_content";
    Held => Discard "skipped or answered unread, within budget";
    Held => Sink "skipped or answered unread, beyond budget";
    Reading => Whole "end of the content";
    Reading => Discard "skipped, within budget";
    Reading => Sink "skipped beyond budget, error, time-out, EOF";
    Discard => Whole "end of the content";
    Discard => Sink "time-out, EOF";
    Whole => Idle "response written, persists";
    Whole => Sink "response written, closes";
    Whole => Tunnel "101, or 2xx to CONNECT";
    Sink => Linger "sending side closed";
    Linger => Over "EOF, or time is up";
}

phases! {
    /// What a client's inbound half is at.
    ClientPhase:
    Idle "no request is unanswered"
    Await "a response is waited for"
    Head "a response head has begun"
    Reading "the content goes to the application"
    Discard "the content is read to be thrown away, to keep the connection"
    Surplus "bytes came that no request asked for: what are they?"
    Sink "nothing more is interpreted: close"
    Tunnel "the connection has left HTTP"
    Over "aborted";
    Idle => Await "request";
    Idle => Surplus "bytes that nobody asked for";
    Idle => Sink "idle for too long, retired";
    Await => Head "first octet of a response";
    Head => Await "interim response";
    Head => Reading "final head";
    Reading => Discard "skip_content";
    Reading => Idle "end, persists";
    Reading => Await "end, more requests in flight";
    Reading => Sink "end, closes";
    Reading => Tunnel "101, or 2xx to CONNECT";
    Discard => Idle "end, persists";
    Discard => Await "end, more requests in flight";
    Discard => Sink "end, closes; beyond budget or time";
    Surplus => Sink "told what they are";
}

#[cfg(test)]
mod tables {
    use super::*;
    use std::fmt::{Debug, Write as _};

    fn diagram<P: Debug + PartialEq>(
        title: &str,
        all: &[P],
        meanings: &[&str],
        steps: &[(P, P, &str)],
    ) -> String {
        let mut text = format!("## {title}\n\n| Phase | Meaning |\n|---|---|\n");
        for (phase, means) in all.iter().zip(meanings) {
            writeln!(text, "| `{phase:?}` | {means} |").unwrap();
        }
        text += "\n```mermaid\nstateDiagram-v2\n    [*] --> Idle\n";
        for (from, to, why) in steps {
            writeln!(text, "    {from:?} --> {to:?}: {why}").unwrap();
        }
        text + "    Over --> [*]\n```\n"
    }

    #[test]
    fn the_diagrams_are_those_of_the_tables() {
        use {ClientPhase as C, ServerPhase as S};
        let printed = format!(
            "{}\n{}",
            diagram("Server, inbound", S::ALL, S::MEANINGS, S::STEPS),
            diagram("Client, inbound", C::ALL, C::MEANINGS, C::STEPS)
        );
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/02-states.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (before, rest) = page.split_once("<!-- phases: printed -->\n\n").unwrap();
        let (_, after) = rest.split_once("\n<!-- phases: end -->").unwrap();
        let new =
            format!("{before}<!-- phases: printed -->\n\n{printed}\n<!-- phases: end -->{after}");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, &new).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), new, "UPDATE=1 cargo test --lib phase");
    }

    fn reachable<P: Copy + PartialEq>(all: &[P], steps: &[(P, P, &str)], from: P) -> usize {
        let mut seen = vec![from];
        while let Some(&(_, to, _)) =
            steps.iter().find(|(a, b, _)| seen.contains(a) && !seen.contains(b))
        {
            seen.push(to);
        }
        all.iter().filter(|p| seen.contains(p)).count()
    }

    #[test]
    fn every_phase_is_reached_and_none_is_a_trap() {
        let server = reachable(ServerPhase::ALL, ServerPhase::STEPS, ServerPhase::Idle);
        assert_eq!(server, ServerPhase::ALL.len());
        // A client's transport is closed from Sink; Over is reached by abort alone.
        let client = reachable(ClientPhase::ALL, ClientPhase::STEPS, ClientPhase::Idle);
        assert_eq!(client, ClientPhase::ALL.len() - 1);
        for &p in ServerPhase::ALL {
            let ends = matches!(p, ServerPhase::Over | ServerPhase::Tunnel);
            assert_eq!(ends, !ServerPhase::STEPS.iter().any(|s| s.0 == p), "{p:?}");
        }
        for (a, b, _) in ServerPhase::STEPS {
            assert!(a.may_become(*b) && a != b);
        }
        assert!(!ServerPhase::Linger.may_become(ServerPhase::Idle));
        assert!(!ServerPhase::Sink.may_become(ServerPhase::Head));
        assert!(!ClientPhase::Sink.may_become(ClientPhase::Await));
    }
}
