//! Handles have types that can be written, and are `Send`, `Sync` and cheap clones: an application keeps them in fields.
use drawgate::{Nothing, prelude::*};

struct App {
    jobs: Port<String>,
    sum: Handle<u64, Nothing, u64>,
    double: Handle<u64, u64>,
}

fn can_be_shared<T: Send + Sync + Clone>(_: &T) {}

fn main() -> anyhow::Result<()> {
    let app = App {
        jobs: Port::bounded(4).spawn()?,
        sum: drawgate::fold(0, |sum, n| *sum += n).spawn()?,
        double: drawgate::map(|n| n * 2).spawn()?,
    };
    can_be_shared(&app.jobs);
    can_be_shared(&app.sum);
    can_be_shared(&app.double);
    assert_eq!(app.sum.call(|sum, _| *sum)?, 0);
    app.jobs.close();
    Ok(app.jobs.join()?)
}
