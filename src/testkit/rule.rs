//! What a driver can do wrong, by name.

use crate::action::Lost;
use crate::time::Instant;
use core::fmt;
use core::time::Duration;
use std::prelude::v1::*;

macro_rules! rules {
    ($($name:ident $text:literal $contract:literal;)*) => {
        /// A sentence of the contract between machine and driver that a driver can break.
        ///
        /// ```
        /// use keepalive::testkit::Rule;
        /// let rule = Rule::EmptyRead;
        /// assert_eq!(rule.to_string(), "EmptyRead");
        /// assert_eq!(rule.text(), "a read into an empty slice");
        /// assert_eq!(rule.contract(), "Never read into an empty slice: it looks like EOF.");
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Rule { $(#[doc = concat!($text, ". ", $contract)] $name,)* }

        impl Rule {
            /// Every rule.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name, for logs.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// What was done wrong.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What is asked of a driver instead.
            #[must_use]
            pub const fn contract(self) -> &'static str {
                match self { $(Self::$name => $contract,)* }
            }
        }
    };
}

rules! {
    UnconsumedChanged "unconsumed bytes were shown changed, cut short, or not in front"
        "Show what was not consumed again, unchanged, in front of what follows.";
    ConsumedAgain "consumed bytes were shown again"
        "Apply `consumed` always, also where there is no event.";
    BytesWithheld "bytes that were read were not shown to the machine"
        "After a read: `receive`, with all bytes that are not yet consumed.";
    ReceiveNotLooped "`receive` had more to say"
        "After any call: `receive` until it returns no event.";
    EmitForgotten "the machine's own bytes were not fetched"
        "After `receive`: `emit`, whenever `wants().emit` is true.";
    OutputNotWritten "output was left lying, though the socket would have taken it"
        "After `emit`: write.";
    OutputChanged "something was written that was not made by the machine in this order"
        "Bytes leave in the order of the calls that made them, all of them and nothing else.";
    TransmittedNotReported "bytes were written, and `transmitted` was not called"
        "`transmitted` counts all bytes that the socket has taken.";
    TransmittedInvented "`transmitted` was called for more than was written"
        "`transmitted` counts the bytes that the socket has taken, and no others.";
    DeadlineIgnored "a deadline passed, and `expire` was not called"
        "Wait no longer than `deadline`; when it is due, `expire`.";
    EndNotDone "`wants().end` was not done"
        "After writing: look at `wants`; `end` is final, and repeated until it is done.";
    WriteClosedNotReported "the sending side was closed, and `write_closed` was not called"
        "`End::ShutdownWrite`: close the sending side, then call `write_closed`.";
    ClosedUnasked "the connection, or its sending side, was closed, and the machine had not asked for it"
        "Close when `wants().end` says so; before that, `abort` or `retire`.";
    WriteAfterEnd "a write, when nothing is to be written any more"
        "When `wants().end` says close or abort, forget the output.";
    LingerNotRead "while lingering, what came was not read and shown to the machine"
        "After the half-close read on: the machine throws away what comes, and counts it.";
    ReadNotDone "bytes or EOF were there, the machine wanted them, and the driver waited for something else"
        "Read always when `wants().read` is true.";
    EofNotReported "EOF was read, and `received_eof` was not called"
        "A read of nothing into some space is EOF: `received_eof`, then `receive`.";
    LossNotReported "a read or write failed, and `lost` was not called"
        "A read or write that fails: `lost`.";
    EmptyRead "a read into an empty slice"
        "Never read into an empty slice: it looks like EOF.";
    EofInvented "`received_eof` was called, and there was no EOF"
        "EOF is a read of nothing into some space; would-block and time-outs are not.";
    LossInvented "`lost` was called, and nothing had failed"
        "Would-block, time-outs and interruptions are not failures.";
    CheckoutWithoutLook "`checkout` was given a read that did not take place"
        "Before a client connection is used again: one read that does not block, then `checkout`.";
    Stuck "the driver waited for what will never happen"
        "Wait for a deadline, for bytes where `wants().read`, for room where output is left.";
    Spinning "the driver goes round and round, and nothing moves"
        "When a turn has changed nothing: wait.";
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A rule that was broken, when, and what went before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The rule.
    pub rule: Rule,
    /// When it was found out.
    pub at: Instant,
    /// What exactly.
    pub detail: String,
    /// The last things that the driver did, the latest last.
    pub steps: Vec<String>,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = Duration::from_micros(self.at.as_micros());
        writeln!(f, "{} at {at:?}: {}", self.rule, self.rule.text())?;
        writeln!(f, "  {}", self.detail)?;
        write!(f, "  {}", self.rule.contract())?;
        if !self.steps.is_empty() {
            write!(f, "\n  What the driver did:")?;
        }
        self.steps.iter().try_for_each(|step| write!(f, "\n    {step}"))
    }
}

impl core::error::Error for Breach {}

/// A loss in one word.
pub(super) const fn word(how: Lost) -> &'static str {
    match how {
        Lost::Reset => "reset",
        Lost::Write => "write",
        Lost::Tls => "tls",
        Lost::Truncated => "truncated",
    }
}
