//! A steady flow from a port to its consumer allocates nothing: per event or per slice, on either side.
//!
//! In a file of its own, since an allocator counts for the whole process.

use drawgate::prelude::*;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::sync::mpsc;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Events between two messages of the consumer's: the pusher waits for them, so that lanes stand empty and full in turn.
const BURST: u64 = 700;

struct Counting {
    events: u64,
    slices: u64,
    /// Has room for all that is ever in it, so that sending allocates nothing.
    told: mpsc::SyncSender<u64>,
}

impl Consumer for Counting {
    type Event = u64;
    fn handle_events(&mut self, events: Events<'_, u64>, _: &mut Context<'_>) -> anyhow::Result<()> {
        self.slices += 1;
        for _ in events {
            self.events += 1;
            if self.events % BURST == 0 {
                self.told.send(self.slices)?;
            }
        }
        Ok(())
    }
}

#[test]
fn t13_a_steady_flow_allocates_nothing() {
    let (told, tells) = mpsc::sync_channel(64);
    let port = Port::bounded(1024).spawn().unwrap();
    let counting = drawgate::consumer(Counting { events: 0, slices: 0, told }).subscribe_to(&port).spawn().unwrap();
    let burst = || {
        for n in 0..BURST {
            port.push(n).unwrap();
        }
        tells.recv_timeout(Duration::from_secs(60)).expect("the consumer is there")
    };
    for _ in 0..200 {
        burst();
    }
    let before = burst();
    let region = Region::new(ALLOCATOR);
    let bursts = 1000;
    let mut after = before;
    for _ in 0..bursts {
        after = burst();
    }
    let counted = region.change();
    let allocations = counted.allocations + counted.reallocations;
    println!("steady: {allocations} allocations in {} events and {} slices", bursts * BURST, after - before);
    // Nothing per event or slice. A chunk that was never full before may still grow: from nothing to the 512 events of a
    // full slice in eight steps. This flow has five chunks: four in a lane of 1024, whose first and last may be part of one,
    // and the consumer's slice.
    assert!(allocations <= 5 * 8, "{counted:?}");
    port.close();
    assert_eq!(counting.finish().unwrap().events, (200 + 1 + bursts) * BURST);
}
