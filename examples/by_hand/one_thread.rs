//! The census on one thread: a loop that counts, a loop that compares.

use crate::shared::{copies, count::count, failure::Failures, options::Options, stock::Stock, walk::walk};

pub(crate) fn take_stock(options: &Options, failures: &Failures) -> (Stock, Vec<copies::Group>) {
    let mut stock = Stock::new(options.top);
    for path in walk(options.paths.clone()) {
        match path.map_err(anyhow::Error::from).and_then(|path| count(path, |_| ())) {
            Ok(counted) => stock.add(counted),
            Err(e) => failures.tell(&e),
        }
    }
    let mut equal = Vec::new();
    for round in std::mem::take(&mut stock.sizes).rounds(options.compare_at_once.get()) {
        let mut prints = Vec::new();
        for path in walk(options.paths.clone()) {
            match path.map_err(anyhow::Error::from).and_then(|path| round.print(path, |_| ())) {
                Ok(print) => prints.extend(print),
                Err(e) => failures.tell(&e),
            }
        }
        equal.extend(copies::groups(prints));
    }
    (stock, equal)
}
