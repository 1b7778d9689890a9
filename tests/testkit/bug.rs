//! What the drivers of these tests can do wrong, and what the kit must call it.

macro_rules! bugs {
    ($($name:ident $rule:ident $text:literal;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Bug { None, $(#[doc = $text] $name,)* }

        impl Bug {
            pub const ALL: &'static [(Self, keepalive::testkit::Rule, &'static str)] =
                &[$((Self::$name, keepalive::testkit::Rule::$rule, $text),)*];
        }
    };
}
pub(crate) use bugs;

bugs! {
    ChangesUnread UnconsumedChanged "compacts its buffer wrongly: one octet is lost";
    PutsNewInFront UnconsumedChanged "puts what is read in front of what is left";
    ForgetsConsumed ConsumedAgain "applies `consumed` only where there is an event";
    AppliesHalf ConsumedAgain "applies one octet less than was consumed";
    ShowsLater BytesWithheld "reads, and waits before it shows";
    ReceivesOnce ReceiveNotLooped "calls `receive` once, and not until it returns nothing";
    ForgetsReceive ReceiveNotLooped "does not call `receive` after EOF";
    ForgetsEmit EmitForgotten "never calls `emit`";
    LeavesOutput OutputNotWritten "goes to sleep over its output";
    MixesOutput OutputChanged "sends what was made last first";
    AddsOutput OutputChanged "sends octets of its own";
    ForgetsTransmitted TransmittedNotReported "never calls `transmitted`";
    CountsFrames TransmittedNotReported "does not count content that it put in itself";
    CountsOffers TransmittedInvented "counts what it offered, and not what was taken";
    IgnoresDeadline DeadlineIgnored "waits with a time-out, and never calls `expire`";
    WaitsForEver DeadlineIgnored "waits without a time-out";
    IgnoresEnd EndNotDone "never looks at `wants().end`";
    ClosesAtOnce EndNotDone "closes where it should half-close";
    PretendsToClose EndNotDone "calls `write_closed` without closing";
    ForgetsWriteClosed WriteClosedNotReported "half-closes, and does not call `write_closed`";
    GivesUpHalfway WriteClosedNotReported "returns when the half-close fails, because the peer is gone";
    HangsUp ClosedUnasked "closes after the first response";
    HalfCloses ClosedUnasked "closes its sending side with the first response";
    WritesOn WriteAfterEnd "goes on to write after the half-close";
    SwallowsItself LingerNotRead "reads while it lingers, and shows the machine nothing";
    SleepsThroughLinger LingerNotRead "waits for the end of lingering without reading";
    WaitsForTime ReadNotDone "waits for deadlines only";
    ReturnsOnEof EofNotReported "takes EOF for the end of everything";
    ForgetsEof EofNotReported "does not report EOF, and goes on";
    ReturnsOnError LossNotReported "returns when a read or write fails";
    ForgetsLoss LossNotReported "does not report that reading or writing failed";
    ReadsIntoNothing EmptyRead "reads into a buffer that is full";
    TakesBlockForEof EofInvented "takes would-block for EOF";
    TakesBlockForLoss LossInvented "takes would-block for a failure";
    NeverAnswers Stuck "never answers, and waits for the world to end";
    Spins Spinning "never waits";
}
