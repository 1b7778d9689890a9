//! What the examples claim, held against them. Those that need a runtime are tested in their own
//! package, `examples/runtimes`.

#[path = "../examples/virtual_time.rs"]
mod virtual_time;

use keepalive::{CloseReason, Verdict};
use std::time::Duration;
use virtual_time::{DELAY, Fate, HOLD, Tally, World, sweep};

const NONE: Duration = Duration::ZERO;
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn without_margin_and_grace_requests_are_lost_to_the_race() {
    let tally = sweep(NONE, NONE);
    // Whoever sends within a round trip before the FIN is there: 80 ms, at every second one.
    assert!((38..=41).contains(&tally.lost), "{tally:?}");
    assert!(tally.served > 0 && tally.given_up > 0, "{tally:?}");
}

#[test]
fn either_of_them_closes_the_race() {
    for (margin, grace) in [(SECOND, NONE), (NONE, 5 * SECOND), (SECOND, 5 * SECOND)] {
        let tally = sweep(margin, grace);
        assert_eq!(tally.lost, 0, "margin {margin:?}, grace {grace:?}");
        assert!(tally.served > 0 && tally.given_up > 0, "{tally:?}");
    }
}

#[test]
fn a_run_is_the_same_each_time() {
    let lost = World { margin: NONE, grace: NONE, trace: false };
    for _ in 0..3 {
        assert_eq!(lost.run(HOLD - DELAY), Fate::Lost(Verdict::IfIdempotent));
        assert_eq!(lost.run(HOLD + DELAY), Fate::GivenUp(CloseReason::IdleTimeout));
    }
    let Tally { served, given_up, lost } = sweep(SECOND, NONE);
    assert_eq!(served + given_up + lost, 701);
}
