//! Broadcast to a logger and a metrics sink; neither misses the first event.
use drawgate::prelude::*;
use std::sync::Arc;

struct Hit {
    path: String,
    status: u16,
}

fn main() -> anyhow::Result<()> {
    let hits =
        drawgate::Port::<Arc<Hit>>::bounded(1024).dispatcher(BroadcastDispatcher::new()).hold_until(2).spawn()?;
    let errors_only = Subscribe::new().selector(|hit: &Arc<Hit>| hit.status >= 500);
    let logger = drawgate::for_each(|hit: Arc<Hit>| eprintln!("{} {}", hit.status, hit.path))
        .name("logger")
        .subscribe_to_with(&hits, errors_only)
        .spawn()?;
    let metrics = drawgate::fold([0u64; 6], |by_class, hit: Arc<Hit>| by_class[usize::from(hit.status / 100)] += 1)
        .name("metrics")
        .subscribe_to(&hits)
        .spawn()?;
    hits.push(Arc::new(Hit { path: "/".into(), status: 200 }))?;
    println!("{:?}", metrics.call(|by_class, _| *by_class)?); // look while it runs
    hits.close();
    logger.join()?;
    println!("{:?}", metrics.finish()?);
    Ok(())
}
