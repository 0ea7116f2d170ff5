//! The latch: the place where a thread waits, for a wake or for a moment.

use super::*;
use loom::sync::atomic::AtomicBool;

/// Waits at the latch until the flag is up, as the owner of a latch does: clear, look, wait.
fn wait_for(flags: &[Arc<AtomicBool>], latch: &Arc<Latch>) {
    loop {
        latch.clear();
        if flags.iter().all(|flag| flag.load(Relaxed)) {
            return;
        }
        latch.park(&Clock::Real, Deadline::NEVER);
    }
}

/// Raises a flag that only the latch publishes, then wakes.
fn raise(flag: &Arc<AtomicBool>, latch: &Arc<Latch>) -> JoinHandle<()> {
    let (flag, latch) = (flag.clone(), latch.clone());
    spawn(move || {
        flag.store(true, Relaxed);
        latch.wake();
    })
}

/// F3.
#[test]
fn a_wake_after_the_clear_is_not_slept_through() {
    explore(|| {
        let (latch, flag) = (nobody(), Arc::new(AtomicBool::new(false)));
        let waker = raise(&flag, &latch);
        wait_for(&[flag], &latch);
        join([waker]);
    });
}

/// F3.
#[test]
fn what_came_before_any_of_several_wakes_is_seen() {
    explore(|| {
        let (latch, flags) = (nobody(), [(); 2].map(|()| Arc::new(AtomicBool::new(false))));
        let wakers = flags.each_ref().map(|flag| raise(flag, &latch));
        wait_for(&flags, &latch);
        join(wakers);
    });
}

/// F3.
#[test]
fn a_deadline_that_passes_ends_the_wait() {
    explore(|| {
        let (latch, time) = (nobody(), Time::limited());
        let passes = spawn({
            let time = time.clone();
            move || time.pass()
        });
        while !time.deadline.passed(&time.clock()) {
            latch.clear();
            latch.park(&time.clock(), time.deadline);
        }
        join([passes]);
    });
}

/// The clock of a long-lived runtime would grow otherwise, and wake those who wait for something else.
#[test]
fn a_wait_that_has_ended_leaves_nothing_with_the_clock() {
    explore(|| {
        let (latch, time, flag) = (nobody(), Time::limited(), Arc::new(AtomicBool::new(false)));
        let waker = raise(&flag, &latch);
        let passes = spawn({
            let manual = time.manual.clone();
            move || manual.advance(Time::LIMIT / 2) // nobody's moment
        });
        while !flag.load(Relaxed) {
            latch.park(&time.clock(), time.deadline);
            latch.clear();
        }
        assert_eq!(time.manual.next(), None);
        join([waker, passes]);
    });
}
