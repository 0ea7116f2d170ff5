//! Each event on a thread of its own, for as long as it takes: a pool that grows while it is busy.
use drawgate::prelude::*;
use std::net::ToSocketAddrs;
use std::time::Duration;

fn main() -> anyhow::Result<()> {
    let hosts = drawgate::Port::bounded(100).spawn()?;
    let lookups = drawgate::workers(|host: String| {
        let found = (host.as_str(), 80).to_socket_addrs()?.count(); // blocks until somebody answers
        println!("{host}: {found} addresses");
        Ok(())
    })
    .name("lookups")
    .threads(2)
    .restart(1) // a host that is not found is looked up once more
    .on_failure(|failure| eprintln!("gave up after {} tries: {}", failure.tries, failure.reason))
    .subscribe_to(&hosts)
    .spawn()?;

    for host in std::env::args().skip(1) {
        if let Err(PushError::Timeout(host)) = hosts.push_timeout(host, Duration::from_secs(1)) {
            for worker in lookups.running() {
                eprintln!("worker {} has waited {:?}", worker.worker, worker.busy);
            }
            lookups.resize(lookups.counts().threads + 1)?; // more threads, while it runs
            hosts.push(host)?;
        }
    }
    hosts.close();
    let counts = lookups.finish()?; // every worker is through
    println!("{} found, {} not", counts.handled, counts.failed);
    Ok(())
}
