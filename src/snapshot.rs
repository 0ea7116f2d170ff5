//! The live graph as a value: who is busy, who waits for whom.

use crate::Name;
use crate::stage::{CrewFigures, Doing, Life, StageKind};
use crate::sync::{Arc, Clock};
use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// One stage in figures.
///
/// ```
/// use drawgate::{prelude::*, stage::Doing};
///
/// let numbers = drawgate::from_iter(1..=100).spawn()?;
/// let sum = drawgate::fold(0, |sum, n: u32| *sum += n);
/// let sum = sum.subscribe_to_with(&numbers, Subscribe::new().max_demand(10)).spawn()?;
/// sum.join()?;
/// let figures = sum.stats();
/// assert_eq!((figures.events_in, figures.doing), (100, Doing::Ended));
/// assert!(figures.slices >= 20); // of five events at most
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StageStats {
    /// Its name; of several threads that do one step of a flow, the step's name.
    pub name: Name,
    /// Which kind it is.
    pub kind: StageKind,
    /// What it does now; of several threads, the first that does not wait.
    pub doing: Doing,
    /// How many threads these figures are of. Of a worker pool, the workers there are now.
    pub threads: usize,
    /// Events drawn.
    pub events_in: u64,
    /// Events emitted, or pushed.
    pub events_out: u64,
    /// Slices handled.
    pub slices: u64,
    /// Time alive and not waiting, added up over threads.
    pub busy: Duration,
    /// Time waiting for events.
    pub idle: Duration,
    /// Time waiting for demand from downstream.
    pub held_back: Duration,
    /// Events that stand in its lanes, or before them.
    pub buffered: usize,
    /// Events dropped to make room, with a consumer that left, by a partition function, or because no selector wanted them.
    pub discarded: u64,
    /// Events lost in the hand of a consumer that failed, or left when nobody was there to take them.
    pub lost: u64,
    /// Pushers parked.
    pub parked: usize,
    /// Who draws from it.
    pub consumers: Vec<Name>,
    ids: Vec<u64>,
    draws: Vec<u64>,
}

impl StageStats {
    pub(crate) fn of(life: &Arc<Life>) -> Self {
        let figures = &life.figures;
        let sending = life.sending.as_ref().map(|sending| sending.figures()).unwrap_or_default();
        let now = figures.ended.get().copied().unwrap_or_else(|| Clock::Real.now());
        let (idle, held_back) = figures.waited.until(now);
        let alive = figures.started.get().map_or(Duration::ZERO, |from| now.saturating_duration_since(*from));
        let stats = Self {
            name: life.name.clone(),
            kind: life.kind,
            doing: figures.doing(),
            threads: 1,
            events_in: figures.events_in.load(Relaxed),
            events_out: sending.counts.emitted,
            slices: figures.slices.load(Relaxed),
            busy: alive.saturating_sub(idle + held_back),
            idle,
            held_back,
            buffered: sending.standing,
            discarded: sending.counts.discarded,
            lost: sending.counts.lost,
            parked: sending.parked,
            consumers: sending.consumers.iter().map(|(_, name)| name.clone()).collect(),
            ids: vec![life.id],
            draws: sending.consumers.iter().map(|(id, _)| *id).collect(),
        };
        match figures.crew.get() {
            Some(crew) => stats.of_crew(crew.figures()),
            None => stats,
        }
    }

    /// Of a pool the workers' time counts, and not that of its stage, which hands out events and waits for them.
    fn of_crew(mut self, crew: CrewFigures) -> Self {
        (self.threads, self.busy, self.idle, self.held_back) = (crew.threads, crew.busy, crew.idle, Duration::ZERO);
        if crew.running > 0 {
            self.doing = Doing::HandleEvents;
        }
        self
    }

    fn add(&mut self, other: Self) {
        self.threads += other.threads;
        if matches!(self.doing, Doing::Waiting | Doing::Ended) && other.doing != Doing::Ended {
            self.doing = other.doing;
        }
        self.events_in += other.events_in;
        self.events_out += other.events_out;
        self.slices += other.slices;
        self.busy += other.busy;
        self.idle += other.idle;
        self.held_back += other.held_back;
        self.buffered += other.buffered;
        self.discarded += other.discarded;
        self.lost += other.lost;
        self.parked += other.parked;
        self.consumers.extend(other.consumers);
        self.ids.extend(other.ids);
        self.draws.extend(other.draws);
    }

    /// The part of its time that it was busy, from 0 to 1.
    pub fn utilization(&self) -> f64 {
        let all = self.busy + self.idle + self.held_back;
        if all.is_zero() { 0.0 } else { self.busy.as_secs_f64() / all.as_secs_f64() }
    }
}

/// The live graph: stages with figures. Its `Display` is a table that ends in a verdict.
///
/// ```
/// let graph = drawgate::from_iter(0..1000).name("count").hop().map(|n| n * 2).name("double").fold(0, |a, n| *a += n).spawn()?;
/// let watch = graph.watch();
/// assert_eq!(graph.join()?, 999_000);
/// let table = watch.snapshot().to_string();
/// assert!(table.contains("count") && table.contains("double") && table.contains("bottleneck"), "{table}");
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct Snapshot {
    stages: Vec<StageStats>,
}

impl Snapshot {
    pub(crate) fn of(lives: &[Arc<Life>]) -> Self {
        Self { stages: lives.iter().map(StageStats::of).collect() }
    }

    /// Of a flow: threads of one step are one row.
    pub(crate) fn of_steps<'a>(steps: impl IntoIterator<Item = (&'a Name, &'a Arc<Life>)>) -> Self {
        let mut stages: Vec<(Name, StageStats)> = Vec::new();
        for (step, life) in steps {
            let stats = StageStats::of(life);
            match stages.iter_mut().find(|(name, _)| name == step) {
                Some((_, sum)) => sum.add(stats),
                None => stages.push((step.clone(), StageStats { name: step.clone(), ..stats })),
            }
        }
        Self { stages: stages.into_iter().map(|(_, stats)| stats).collect() }
    }

    /// One by one, producers first.
    pub fn stages(&self) -> &[StageStats] {
        &self.stages
    }

    /// The stage that was busy for the greatest part of its time: what the others wait for.
    pub fn bottleneck(&self) -> Option<&StageStats> {
        let busiest = |a: &&StageStats, b: &&StageStats| a.utilization().total_cmp(&b.utilization());
        self.stages.iter().max_by(busiest).filter(|stage| stage.utilization() > 0.0)
    }

    /// The graph in the language of Graphviz.
    pub fn to_dot(&self) -> String {
        use fmt::Write;
        let mut dot = String::from("digraph stages {\n");
        for (i, stage) in self.stages.iter().enumerate() {
            let label = stage.name.to_string().replace('\\', "\\\\").replace('"', "\\\"");
            let _ = writeln!(dot, "  s{i} [label=\"{label}\\n{:.0} % busy\"];", stage.utilization() * 100.0);
            for (j, to) in self.stages.iter().enumerate() {
                if to.ids.iter().any(|id| stage.draws.contains(id)) {
                    let _ = writeln!(dot, "  s{i} -> s{j};");
                }
            }
        }
        dot.push_str("}\n");
        dot
    }

    fn verdict(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(busiest) = self.bottleneck() else { return writeln!(f, "nothing has run yet") };
        let share = busiest.utilization() * 100.0;
        if share < 50.0 {
            writeln!(f, "no bottleneck among the stages: {} is the busiest with {share:.0} %", busiest.name)?;
            return writeln!(
                f,
                "try: look outside, at what feeds or takes the events; or larger demand, if events are small"
            );
        }
        writeln!(f, "bottleneck: {}, {share:.0} % busy", busiest.name)?;
        for stage in self.stages.iter().filter(|stage| stage.name != busiest.name) {
            let all = stage.busy + stage.idle + stage.held_back;
            let part = |time: Duration| time.as_secs_f64() / all.as_secs_f64().max(1e-9) * 100.0;
            if stage.held_back > stage.idle && part(stage.held_back) >= 10.0 {
                writeln!(
                    f,
                    "  {} is held back {:.0} % of its time: nobody asks it for more",
                    stage.name,
                    part(stage.held_back)
                )?;
            } else if part(stage.idle) >= 10.0 {
                writeln!(f, "  {} waits for events {:.0} % of its time", stage.name, part(stage.idle))?;
            }
        }
        match busiest.kind {
            StageKind::ProducerConsumer => writeln!(f, "try: more threads for {}, or less work an event", busiest.name),
            StageKind::Producer | StageKind::Port => {
                writeln!(f, "try: a faster source, or several of them merged; the rest can take more")
            }
            StageKind::Consumer => writeln!(f, "try: move work out of {} into a parallel step before it", busiest.name),
        }
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["stage", "threads", "in", "out", "busy", "idle", "held back", "waiting"];
        let time = |d: Duration| format!("{:.2} s", d.as_secs_f64());
        let mut rows = vec![head.map(String::from)];
        rows.extend(self.stages.iter().map(|s| {
            let name = s.name.to_string();
            let (events_in, events_out) = (s.events_in.to_string(), s.events_out.to_string());
            let waiting = s.buffered.to_string();
            [name, s.threads.to_string(), events_in, events_out, time(s.busy), time(s.idle), time(s.held_back), waiting]
        }));
        let width = |i: usize| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..head.len()).map(width).collect();
        for row in &rows {
            write!(f, "{:<w$}", row[0], w = widths[0])?;
            for (cell, w) in row.iter().zip(&widths).skip(1) {
                write!(f, "  {cell:>w$}")?;
            }
            writeln!(f)?;
        }
        self.verdict(f)
    }
}
