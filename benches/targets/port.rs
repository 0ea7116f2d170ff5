//! T5 to T8: a port against a crossbeam channel, one hop.

use super::measure::{Epoch, Latency, Reach, Row, in_turn, rate};
use super::{Result, Scale};
use crossbeam_channel::bounded;
use drawgate::prelude::*;
use drawgate::stage::Wait;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::*};
use std::thread;
use std::time::Instant;

const CAPACITY: usize = 1024;

/// T5 and T6: pushers that push one by one, to one consumer.
pub(crate) fn throughput(id: &'static str, pushers: &[u64], reach: f64, scale: Scale) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for &pushers in pushers {
        let each = scale.of(5_000_000) / pushers;
        let rounds = in_turn(scale, || port_rate(pushers, each), || Ok(channel_rate(pushers, each)))?;
        let what = format!("port, {pushers} pusher(s); `bounded({CAPACITY})`");
        rows.push(Row::ratio(id, what, "Mev/s", &rounds, Reach::AtLeast(reach)));
    }
    Ok(rows)
}

fn port_rate(pushers: u64, each: u64) -> Result<f64> {
    let start = Instant::now();
    let port = Port::bounded(CAPACITY).spawn()?;
    let add = |(sum, count): &mut (u64, u64), n: u64| {
        *sum = sum.wrapping_add(n);
        *count += 1;
    };
    let sum = drawgate::fold((0, 0), add).subscribe_to(&port).spawn()?;
    let pusher = |_| {
        let port = port.clone();
        thread::spawn(move || (0..each).try_for_each(|n| port.push(n)))
    };
    let pushers: Vec<_> = (0..pushers).map(pusher).collect();
    let count = pushers.len() as u64;
    for pusher in pushers {
        pusher.join().unwrap()?;
    }
    port.close();
    let found = sum.finish()?;
    let rate = rate(count * each, start);
    assert_eq!(found, (count * (each * (each - 1) / 2), count * each));
    port.join()?;
    Ok(rate)
}

fn channel_rate(pushers: u64, each: u64) -> f64 {
    let start = Instant::now();
    let (tx, rx) = bounded::<u64>(CAPACITY);
    let sum = thread::spawn(move || rx.iter().fold((0u64, 0), |(sum, count), n| (sum.wrapping_add(n), count + 1)));
    let pusher = |_| {
        let tx = tx.clone();
        thread::spawn(move || (0..each).try_for_each(|n| tx.send(n)))
    };
    let pushers: Vec<_> = (0..pushers).map(pusher).collect();
    let count = pushers.len() as u64;
    for pusher in pushers {
        pusher.join().unwrap().unwrap();
    }
    drop(tx);
    let found = sum.join().unwrap();
    let rate = rate(count * each, start);
    assert_eq!(found, (count * (each * (each - 1) / 2), count * each));
    rate
}

/// T7: one event a millisecond, to a consumer that sleeps.
pub(crate) fn paced(scale: Scale) -> Result<Vec<Row>> {
    let events = scale.of(2000);
    let plan = |push: &mut dyn FnMut(u64), epoch: Epoch| {
        for i in 1..=events {
            let intended = i * 1_000_000;
            epoch.wait_until(intended);
            push(intended);
        }
    };
    let rounds = in_turn(scale, || port_latency(Wait::Park, plan), || channel_latency(CAPACITY, plan))?;
    Ok(Latency::rows(
        "T7",
        "port, an event a ms, `Park`; crossbeam, receiver asleep",
        &rounds,
        Reach::AtMost(0.8),
        Reach::AtMost(1.0),
    ))
}

/// T8: the next event as soon as the last is handled, to a consumer with a core of its own.
pub(crate) fn back_to_back(scale: Scale) -> Result<Vec<Row>> {
    let events = scale.of(200_000);
    let handled = Arc::new(AtomicU64::new(0));
    let plan = |push: &mut dyn FnMut(u64), epoch: Epoch| {
        for i in 1..=events {
            push(epoch.nanos());
            while handled.load(Acquire) < i {
                std::hint::spin_loop();
            }
        }
        handled.store(0, Relaxed);
    };
    let told = || {
        let handled = handled.clone();
        move || {
            handled.fetch_add(1, Release);
        }
    };
    let rounds =
        in_turn(scale, || port_latency_with(Wait::Adaptive, plan, told()), || channel_latency_with(1, plan, told()))?;
    Ok(Latency::rows("T8", "port, back to back, `Adaptive`; `bounded(1)`", &rounds, Reach::AtMost(1.3), Reach::Shown))
}

/// Says when what is sent; an event is the moment it was meant to be.
trait Plan: Fn(&mut dyn FnMut(u64), Epoch) {}
impl<F: Fn(&mut dyn FnMut(u64), Epoch)> Plan for F {}

fn port_latency(wait: Wait, plan: impl Plan) -> Result<Latency> {
    port_latency_with(wait, plan, || ())
}
fn port_latency_with(wait: Wait, plan: impl Plan, mut after: impl FnMut() + Send + 'static) -> Result<Latency> {
    let epoch = Epoch::now();
    let port = Port::bounded(CAPACITY).spawn()?;
    let record = move |late: &mut Vec<u64>, intended: u64| {
        late.push(epoch.nanos() - intended);
        after();
    };
    let consumer = drawgate::fold(Vec::new(), record).wait(wait).subscribe_to(&port).spawn()?;
    plan(&mut |intended| port.push(intended).unwrap(), epoch);
    port.close();
    Latency::of(consumer.finish()?)
}

fn channel_latency(capacity: usize, plan: impl Plan) -> Result<Latency> {
    channel_latency_with(capacity, plan, || ())
}
fn channel_latency_with(capacity: usize, plan: impl Plan, mut after: impl FnMut() + Send + 'static) -> Result<Latency> {
    let epoch = Epoch::now();
    let (tx, rx) = bounded::<u64>(capacity);
    let receiver = thread::spawn(move || {
        let mut late = Vec::new();
        for intended in rx {
            late.push(epoch.nanos() - intended);
            after();
        }
        late
    });
    plan(&mut |intended| tx.send(intended).unwrap(), epoch);
    drop(tx);
    Latency::of(receiver.join().unwrap())
}
