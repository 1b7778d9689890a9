//! Phases of the inbound half, and the steps between them: one table for each role.
//!
//! Every change of phase goes through the machine's `enter`, which holds it against this table in
//! builds with debug assertions; the diagrams in `docs/phases.md` are printed from it. A phase may
//! always stay as it is, and any may be aborted.

macro_rules! phases {
    ($(#[$doc:meta])* $Phase:ident: $($name:ident)*;
     $($from:ident => $to:ident $why:literal;)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum $Phase { $($name,)* }

        impl $Phase {
            /// Whether one phase may follow another.
            pub(crate) fn may_become(self, next: Self) -> bool {
                self == next || next == Self::Over
                    || matches!((self, next), $((Self::$from, Self::$to))|*)
            }

            #[cfg(test)]
            const ALL: &'static [Self] = &[$(Self::$name,)*];
            #[cfg(test)]
            const STEPS: &'static [(Self, Self, &'static str)] =
                &[$((Self::$from, Self::$to, $why),)*];
        }
    };
}

phases! {
    /// What a server's inbound half is at.
    ServerPhase: Idle Head Held Reading Discard Whole Sink Linger Tunnel Over;
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
    ClientPhase: Idle Await Head Reading Discard Surplus Sink Tunnel Over;
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

    fn diagram<P: Debug + PartialEq>(title: &str, steps: &[(P, P, &str)]) -> String {
        let mut text = format!("## {title}\n\n```mermaid\nstateDiagram-v2\n    [*] --> Idle\n");
        for (from, to, why) in steps {
            writeln!(text, "    {from:?} --> {to:?}: {why}").unwrap();
        }
        text + "    Over --> [*]\n```\n"
    }

    #[test]
    fn the_diagrams_are_those_of_the_tables() {
        let page = format!(
            "# Phases\n\nPrinted from the tables in `src/phase.rs` by `UPDATE=1 cargo test phase`; a test fails \
             when they differ.\nFrom every phase an abort leads to `Over`.\n\n{}\n{}",
            diagram("Server, inbound", ServerPhase::STEPS),
            diagram("Client, inbound", ClientPhase::STEPS)
        );
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/phases.md");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), page, "run with UPDATE=1");
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
