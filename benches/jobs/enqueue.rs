//! How fast jobs are enqueued, one by one and in bulk.

use super::by_hand::ByHand;
use super::drain::{Base, left_out};
use super::measure::{Reach, Rounds, Row, in_turn};
use super::{Result, Scale};
use diesel::connection::SimpleConnection;
use drawgate::jobs::Store;
use std::time::Instant;

const CHUNK: u32 = 100;

fn one_by_one<S: Store<Connection: ByHand>>(base: &Base<S>, scale: Scale, n: u32) -> Result<Rounds<f64>> {
    let n = scale.of(n);
    let timed = |f: &mut dyn FnMut(u32) -> Result<()>| -> Result<f64> {
        (base.open)()?.batch_execute("DELETE FROM jobs")?;
        let begun = Instant::now();
        (0..n).try_for_each(f)?;
        Ok(f64::from(n) / begun.elapsed().as_secs_f64())
    };
    let mut conn = (base.open)()?;
    in_turn(
        scale,
        || timed(&mut |n| Ok(base.queue.enqueue(n).map(|_| ())?)),
        || timed(&mut |n| Ok(conn.insert_one(&n.to_string()).map(|_| ())?)),
    )
}

fn in_bulk<S: Store<Connection: ByHand>>(base: &Base<S>, scale: Scale, n: u32) -> Result<Rounds<f64>> {
    let chunks = scale.of(n).div_ceil(CHUNK);
    let timed = |f: &mut dyn FnMut(u32) -> Result<()>| -> Result<f64> {
        (base.open)()?.batch_execute("DELETE FROM jobs")?;
        let begun = Instant::now();
        (0..chunks).try_for_each(f)?;
        Ok(f64::from(chunks * CHUNK) / begun.elapsed().as_secs_f64())
    };
    let mut conn = (base.open)()?;
    in_turn(
        scale,
        || timed(&mut |chunk| Ok(base.queue.enqueue_all(chunk * CHUNK..(chunk + 1) * CHUNK).map(|_| ())?)),
        || {
            timed(&mut |chunk| {
                let params: Vec<String> = (chunk * CHUNK..(chunk + 1) * CHUNK).map(|n| n.to_string()).collect();
                Ok(conn.insert_many(&params).map(|_| ())?)
            })
        },
    )
}

pub(crate) fn both(scale: Scale) -> Result<Vec<Row>> {
    let reach = Reach::AtLeast(0.85);
    let sqlite = Base::sqlite()?;
    let mut rows = vec![
        Row::ratio("J10", "SQLite, enqueued one by one", "jobs/s", &one_by_one(&sqlite, scale, 20_000)?, reach),
        Row::ratio("J10", "SQLite, 100 at a time", "jobs/s", &in_bulk(&sqlite, scale, 100_000)?, reach),
    ];
    match Base::postgres()? {
        None => drop(left_out("J10")?),
        Some(postgres) => rows.extend([
            Row::ratio("J10", "Postgres, enqueued one by one", "jobs/s", &one_by_one(&postgres, scale, 3_000)?, reach),
            Row::ratio("J10", "Postgres, 100 at a time", "jobs/s", &in_bulk(&postgres, scale, 50_000)?, reach),
        ]),
    }
    Ok(rows)
}
