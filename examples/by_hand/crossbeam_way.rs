//! The census with threads and crossbeam channels: one thread walks, a bounded channel, threads that count into a stock of
//! their own, merged at the end.

use crate::shared::{copies, count::count, failure::Failures, options::Options, stock::Stock, walk::walk};
use crossbeam_channel::Receiver;
use std::{panic, path::PathBuf, thread};

/// Paths on their way from the walker to the counters.
const IN_FLIGHT: usize = 1000;

pub(crate) fn take_stock(options: &Options, failures: &Failures) -> (Stock, Vec<copies::Group>) {
    let stocks = for_each_file(
        options,
        failures,
        || Stock::new(options.top),
        |stock, path| {
            stock.add(count(path, |_| ())?);
            Ok(())
        },
    );
    let mut stock = stocks.into_iter().reduce(Stock::merge).unwrap_or_else(|| Stock::new(options.top));
    let mut equal = Vec::new();
    for round in std::mem::take(&mut stock.sizes).rounds(options.compare_at_once.get()) {
        let prints = for_each_file(options, failures, Vec::new, |prints, path| {
            prints.extend(round.print(path, |_| ())?);
            Ok(())
        });
        equal.extend(copies::groups(prints.into_iter().flatten().collect()));
    }
    (stock, equal)
}

/// Walks, and lets each of `--jobs` threads add the files that it gets to a state of its own; gives the states.
fn for_each_file<A: Send>(
    options: &Options,
    failures: &Failures,
    init: impl Fn() -> A + Sync,
    add: impl Fn(&mut A, PathBuf) -> anyhow::Result<()> + Sync,
) -> Vec<A> {
    let (tx, rx) = crossbeam_channel::bounded(IN_FLIGHT);
    let work = |paths: Receiver<PathBuf>| {
        let mut state = init();
        for path in paths {
            if let Err(e) = add(&mut state, path) {
                failures.tell(&e);
            }
        }
        state
    };
    thread::scope(|scope| {
        let worker = |_| {
            let (paths, work) = (rx.clone(), &work);
            scope.spawn(move || work(paths))
        };
        let workers: Vec<_> = (0..options.jobs.get()).map(worker).collect();
        drop(rx); // so that sending fails, and does not wait for ever, should all workers have panicked
        for path in walk(options.paths.clone()) {
            let sent = path.map(|path| tx.send(path));
            match sent {
                Ok(Ok(())) => {}
                Ok(Err(_)) => break,
                Err(e) => failures.tell(&e),
            }
        }
        drop(tx);
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(|e| panic::resume_unwind(e))).collect()
    })
}
