//! Listens to the notifications of a Postgres queue, over a connection of its own.
//!
//! What is notified while there is no connection is missed, so it rings whenever it has come back.

use super::params::{self, Params};
use super::wire::{Stream, Wire};
use crate::jobs::store::{Listening, Ring};
use crate::sync::{Arc, Clock, Condvar, Mutex, Rank, thread};
use std::io::{self, ErrorKind};
use std::time::Duration;

/// After so long without a word it asks whether the server is there; after as long again the server is not.
const BEAT: Duration = Duration::from_secs(10);
/// How long it waits before it connects again, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Connects, and starts the thread. The connection is named after the queue, for whoever looks into `pg_stat_activity`.
pub(in crate::jobs::diesel) fn listen(
    url: &str,
    table: &str,
    statement: &str,
    ring: Ring,
) -> io::Result<Box<dyn Listening>> {
    let params = params::parse(url, &|variable| std::env::var(variable).ok(), &os_user)?;
    let end = Arc::new(End { state: Mutex::new(Rank::Latch, State::default()), ended: Condvar::new() });
    let listener =
        Listener { params, name: format!("drawgate-bell {table}"), statement: statement.to_owned(), end: end.clone() };
    let wire = listener.connect()?;
    thread::spawn(format!("{table}-bell"), None, move || listener.run(wire, &ring))?;
    Ok(Box::new(Guard(end)))
}

/// Who this process is, where the system tells it in files; else by the usual variables.
fn os_user() -> Option<String> {
    let env = || ["USER", "LOGNAME", "USERNAME"].iter().find_map(|name| std::env::var(name).ok());
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::MetadataExt;
        let named = || {
            let me = std::fs::metadata("/proc/self").ok()?.uid().to_string();
            let all = std::fs::read_to_string("/etc/passwd").ok()?;
            let name = |line: &str| {
                let mut fields = line.split(':');
                let name = fields.next()?;
                (fields.nth(1)? == me).then(|| name.to_owned())
            };
            all.lines().find_map(name)
        };
        named().or_else(env)
    }
    #[cfg(not(target_os = "linux"))]
    env()
}

struct Listener {
    params: Params,
    name: String,
    statement: String,
    end: Arc<End>,
}

impl Listener {
    fn connect(&self) -> io::Result<Wire> {
        Wire::listen(&self.params, &self.name, &self.statement, BEAT, |stream| self.end.hold(stream))
    }

    fn run(self, mut wire: Wire, ring: &Ring) {
        let mut pause = FIRST_PAUSE;
        loop {
            // A connection is a good one once it has brought something, not before.
            while wire.wait(|| pause = FIRST_PAUSE).is_ok() {
                pause = FIRST_PAUSE;
                ring();
            }
            drop(wire);
            wire = loop {
                if self.end.comes_within(pause) {
                    return;
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
                if let Ok(wire) = self.connect() {
                    break wire;
                }
            };
            ring();
        }
    }
}

/// Ends the thread, whatever it waits for.
struct End {
    /// Rank `Latch`, a leaf: whether it is to end, and what it reads from.
    state: Mutex<State>,
    /// Predicate: `state.ended`. Notified by the guard; one waiter, the thread.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    ended: bool,
    stream: Option<Stream>,
}

impl End {
    /// Keeps a stream, to shut it down. An error if it is too late for that.
    fn hold(&self, stream: Stream) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.ended {
            return Err(io::Error::new(ErrorKind::ConnectionAborted, "nobody listens any more"));
        }
        state.stream = Some(stream);
        Ok(())
    }

    /// Whether the end comes within this time, which it waits for.
    fn comes_within(&self, time: Duration) -> bool {
        let mut state = self.state.lock();
        state.stream = None; // lost: the server need not keep its end
        let until = Clock::Real.now() + time;
        while !state.ended && Clock::Real.now() < until {
            state = self.ended.wait_until(state, until);
        }
        state.ended
    }
}

struct Guard(Arc<End>);

impl Listening for Guard {}
impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listening")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.ended = true;
        let stream = state.stream.take();
        drop(state);
        self.0.ended.notify_one();
        if let Some(stream) = stream {
            stream.shut();
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    #[test]
    fn p77_the_end_is_not_waited_for() {
        let end = Arc::new(End { state: Mutex::new(Rank::Latch, State::default()), ended: Condvar::new() });
        assert!(!end.comes_within(Duration::from_millis(1)));
        let (ours, mut server) = UnixStream::pair().unwrap();
        end.hold(Stream::Unix(ours)).unwrap();
        let (guard, waits) = (Guard(end.clone()), end.clone());
        let (tell, told) = crossbeam_channel::bounded(1);
        let waits = move || {
            tell.send(false).unwrap(); // it is about to
            tell.send(waits.comes_within(Duration::from_secs(3600))).unwrap();
        };
        thread::spawn("waits".into(), None, waits).unwrap();
        assert!(!told.recv().unwrap());
        drop(guard);
        assert!(told.recv().unwrap());
        assert_eq!(server.read(&mut [0]).unwrap(), 0, "shut down, or let go");
        let (ours, _server) = UnixStream::pair().unwrap();
        assert!(end.hold(Stream::Unix(ours)).is_err(), "too late");
    }
}
