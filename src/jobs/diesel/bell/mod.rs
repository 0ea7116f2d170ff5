//! How each database tells that there are new jobs: a thread that waits for it, and rings.
//!
//! | part       | what                                                                  |
//! |------------|-----------------------------------------------------------------------|
//! | `postgres` | the thread that listens, and comes back when its connection is lost   |
//! | `wire`     | its connection: start-up, passwords, notifications, heartbeat         |
//! | `params`   | what libpq takes for a connection, read                               |
//! | `sqlite`   | the thread that looks whether somebody has committed                  |
//! | `watch`    | what it waits for: inotify, or the time where there is none           |

#[cfg(feature = "jobs-postgres")]
mod params;
#[cfg(feature = "jobs-postgres")]
pub(super) mod postgres;
#[cfg(feature = "jobs-sqlite")]
pub(super) mod sqlite;
#[cfg(feature = "jobs-sqlite")]
mod watch;
#[cfg(feature = "jobs-postgres")]
mod wire;
