//! The census with rayon: the walk bridged into the pool, a stock for each thread, merged at the end.

use crate::shared::{copies, count::count, failure::Failures, options::Options, stock::Stock, walk::walk};
use rayon::{ThreadPoolBuilder, iter::ParallelBridge, iter::ParallelIterator};

pub(crate) fn take_stock(options: &Options, failures: &Failures) -> anyhow::Result<(Stock, Vec<copies::Group>)> {
    let pool = ThreadPoolBuilder::new().num_threads(options.jobs.get()).build()?;
    Ok(pool.install(|| {
        let mut stock = walk(options.paths.clone())
            .par_bridge()
            .map(|path| count(path?, |_| ()))
            .filter_map(|counted| counted.map_err(|e| failures.tell(&e)).ok())
            .fold(
                || Stock::new(options.top),
                |mut stock, counted| {
                    stock.add(counted);
                    stock
                },
            )
            .reduce(|| Stock::new(options.top), Stock::merge);
        let mut equal = Vec::new();
        for round in std::mem::take(&mut stock.sizes).rounds(options.compare_at_once.get()) {
            let prints = walk(options.paths.clone())
                .par_bridge()
                .map(|path| round.print(path?, |_| ()))
                .filter_map(|print| print.map_err(|e| failures.tell(&e)).ok().flatten());
            equal.extend(copies::groups(prints.collect()));
        }
        (stock, equal)
    }))
}
