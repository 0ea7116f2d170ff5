//! What the SQLite bell waits for: writes to the database's log, by inotify; elsewhere than on Linux, and where inotify
//! fails, the passing of time.

pub(super) use imp::{Watch, pair};
use std::time::Duration;

/// How often it is to be looked where nothing tells of writes.
const POLL: Duration = Duration::from_millis(50);

/// What ended a wait.
#[derive(Debug, PartialEq)]
pub(super) enum Woken {
    /// Nobody listens any more.
    Ended,
    /// Something was written.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "nothing tells of it"))]
    Event,
    /// Time has passed.
    InVain,
}

#[cfg(target_os = "linux")]
mod imp {
    use super::{POLL, Woken};
    use crate::jobs::store::Listening;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
    use rustix::io::Errno;
    use std::io;
    use std::mem::MaybeUninit;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::path::PathBuf;
    use std::time::Duration;

    /// Watches a log. The other end, dropped, ends its waits.
    pub(in super::super) fn pair(log: PathBuf) -> io::Result<(Watch, End)> {
        let (end, other) = UnixStream::pair()?;
        // None: this user has too many of them.
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok();
        let mut watch = Watch { log, inotify, watches: false, end };
        watch.begin();
        Ok((watch, End(other)))
    }

    #[derive(Debug)]
    pub(in super::super) struct Watch {
        log: PathBuf,
        inotify: Option<OwnedFd>,
        /// Not while the log is not there. It stays as long as somebody has the database open, as the bell itself has.
        watches: bool,
        end: UnixStream,
    }

    #[derive(Debug)]
    pub(in super::super) struct End(#[allow(dead_code, reason = "to be dropped")] UnixStream);
    impl Listening for End {}

    impl Watch {
        fn begin(&mut self) {
            self.watches = self
                .inotify
                .as_ref()
                .is_some_and(|inotify| inotify::add_watch(inotify, &self.log, WatchFlags::MODIFY).is_ok());
        }

        /// Waits for a write.
        pub(in super::super) fn wait(&mut self, limit: Option<Duration>) -> Woken {
            if !self.watches {
                self.begin();
                if self.watches {
                    return Woken::Event; // perhaps, before this
                }
                return self.rest(limit.unwrap_or(POLL).min(POLL));
            }
            match self.poll(limit, true) {
                Woken::Event => {
                    self.drain();
                    Woken::Event
                }
                woken => woken,
            }
        }

        /// Waits for the end only.
        pub(in super::super) fn rest(&mut self, time: Duration) -> Woken {
            self.poll(Some(time), false)
        }

        fn poll(&self, limit: Option<Duration>, events: bool) -> Woken {
            let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
            let mut waited_for = vec![PollFd::new(&self.end, PollFlags::IN)];
            if let Some(inotify) = self.inotify.as_ref().filter(|_| events) {
                waited_for.push(PollFd::new(inotify, PollFlags::IN));
            }
            match poll(&mut waited_for, limit.as_ref()) {
                Ok(0) | Err(Errno::INTR) => Woken::InVain,
                Ok(_) if waited_for[0].revents().is_empty() => Woken::Event,
                Ok(_) | Err(_) => Woken::Ended,
            }
        }

        fn drain(&mut self) {
            let Some(inotify) = &self.inotify else { return };
            let mut buffer = [MaybeUninit::uninit(); 1024];
            let mut events = Reader::new(inotify, &mut buffer);
            while let Ok(event) = events.next() {
                if event.events().contains(ReadFlags::IGNORED) {
                    self.watches = false; // it is gone
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use super::{POLL, Woken};
    use crate::jobs::store::Listening;
    use crate::sync::chan::{Receiver, Sender, bounded};
    use std::convert::Infallible;
    use std::io;
    use std::path::PathBuf;
    use std::time::Duration;

    /// Waits, for no file. The other end, dropped, ends its waits.
    pub(in super::super) fn pair(_: PathBuf) -> io::Result<(Watch, End)> {
        let (end, other) = bounded(0);
        Ok((Watch(other), End(end)))
    }

    #[derive(Debug)]
    pub(in super::super) struct Watch(Receiver<Infallible>);

    #[derive(Debug)]
    pub(in super::super) struct End(#[allow(dead_code, reason = "to be dropped")] Sender<Infallible>);
    impl Listening for End {}

    impl Watch {
        pub(in super::super) fn wait(&mut self, limit: Option<Duration>) -> Woken {
            self.rest(limit.unwrap_or(POLL).min(POLL))
        }

        pub(in super::super) fn rest(&mut self, time: Duration) -> Woken {
            match self.0.recv_timeout(time) {
                Err(error) if error.is_disconnected() => Woken::Ended,
                _ => Woken::InVain,
            }
        }
    }
}
