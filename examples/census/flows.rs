//! The core of `census`: a walker, counters, one that merges; then the same shape again, to find equal files.

use crate::shared::{copies, count::count, failure::Failures, options::Options, stock::Stock, walk::walk};
use crate::{interrupt::Interrupt, progress::Progress};
use drawgate::flow::{Parallel, Runnable, Watch};

/// What a census is taken with.
pub(crate) struct Census {
    pub(crate) options: Options,
    pub(crate) failures: Failures,
    pub(crate) progress: Progress,
    pub(crate) interrupt: Interrupt,
    /// The stages of each flow that ran.
    pub(crate) stages: Vec<(&'static str, Watch)>,
}

impl Census {
    /// Counts all files, then compares those of equal size; after Ctrl-C, what was counted and compared until then.
    pub(crate) fn take(&mut self) -> anyhow::Result<(Stock, Vec<copies::Group>)> {
        let mut stock = self.run("counting", self.count())?;
        let mut equal = Vec::new();
        for round in std::mem::take(&mut stock.sizes).rounds(self.options.compare_at_once.get()) {
            if !self.interrupt.came() {
                equal.extend(copies::groups(self.run("comparing", self.compare(round))?));
            }
        }
        Ok((stock, equal))
    }

    /// Counts what is in each file, and adds it up.
    fn count(&self) -> Runnable<Stock> {
        let (failures, progress) = (self.failures.clone(), self.progress.counting());
        let read = progress.clone();
        drawgate::from_iter(walk(self.options.paths.clone()))
            .name("walk") // a thread that lists files, as fast as they are wanted
            .parallel_map_unordered_with(self.readers(), move |path| count(path?, |n| read.bytes(n)))
            .name("count") // as many as `--jobs` that read them, a piece at a time
            .divert_errors(move |e| failures.tell(&e))
            .inspect(move |_| progress.file())
            .fold(Stock::new(self.options.top), Stock::add)
            .name("merge") // and one that adds up
    }

    /// Hashes the files of one round: those that share their size.
    fn compare(&self, round: copies::Round) -> Runnable<Vec<copies::Print>> {
        let (failures, progress) = (self.failures.clone(), self.progress.comparing(round.files));
        let read = progress.clone();
        drawgate::from_iter(walk(self.options.paths.clone()))
            .name("walk")
            .parallel_map_unordered_with(self.readers(), move |path| round.print(path?, |n| read.bytes(n)))
            .name("hash")
            .divert_errors(move |e| failures.tell(&e))
            .flat_map(|print| print) // `None` for a file that no other equals in size
            .inspect(move |_| progress.file())
            .fold(Vec::new(), Vec::push)
            .name("collect")
    }

    /// Most files take only some ten microseconds, so each thread has many more in flight than the default of four: some
    /// ten milliseconds' worth, some hundred kilobytes of paths.
    fn readers(&self) -> Parallel {
        let threads = self.options.jobs.get();
        Parallel::new(threads).in_flight(2000 * threads)
    }

    /// Runs a flow to its end, open to Ctrl-C meanwhile and to a look at its stages afterwards.
    fn run<A: Send + 'static>(&mut self, what: &'static str, flow: Runnable<A>) -> anyhow::Result<A> {
        let graph = flow.spawn()?;
        self.interrupt.stops(graph.stopper());
        self.stages.push((what, graph.watch()));
        Ok(graph.join()?)
    }
}
