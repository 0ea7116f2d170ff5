//! A connection to Postgres that waits for notifications: start-up, passwords, `LISTEN`, and a heartbeat.
//!
//! It really blocks, in the socket's read. Whoever has a clone of its stream ends that by shutting it down.

use super::params::{Params, Place};
use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{ErrorResponseBody, Message};
use postgres_protocol::message::frontend;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long each address of a host is tried, unless the URL says so.
const CONNECT: Duration = Duration::from_secs(10);
/// Where sockets are, if no host is named: as Debian's libpq has it, and as Postgres' own.
#[cfg(unix)]
const FOLDERS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

fn bad(message: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, message)
}

/// A stream of bytes, to be read by one thread and shut down by another.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Stream {
    /// Shut down by whoever wants the thread to end that reads it.
    pub(super) fn shut(&self) {
        // What fails is gone already.
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
            #[cfg(unix)]
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
        };
    }

    pub(super) fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(stream) => Ok(Self::Tcp(stream.try_clone()?)),
            #[cfg(unix)]
            Self::Unix(stream) => Ok(Self::Unix(stream.try_clone()?)),
        }
    }

    /// The longest that a read, or a write, waits.
    fn set_patience(&self, time: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(time))?;
                stream.set_write_timeout(Some(time))
            }
            #[cfg(unix)]
            Self::Unix(stream) => {
                stream.set_read_timeout(Some(time))?;
                stream.set_write_timeout(Some(time))
            }
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            #[cfg(unix)]
            Self::Unix(stream) => stream.read(buffer),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(bytes),
            #[cfg(unix)]
            Self::Unix(stream) => stream.write_all(bytes),
        }
    }

    fn tcp(host: &str, port: u16, params: &Params) -> io::Result<Self> {
        if let Some(why) = &params.no_tcp {
            return Err(io::Error::new(ErrorKind::Unsupported, why.as_str()));
        }
        let mut last = ErrorKind::AddrNotAvailable.into();
        for address in (host, port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, params.connect_timeout.unwrap_or(CONNECT)) {
                Ok(stream) => return Ok(Self::Tcp(stream)),
                Err(cause) => last = cause,
            }
        }
        Err(last)
    }

    #[cfg(unix)]
    fn unix(folder: &Path, port: u16) -> io::Result<Self> {
        UnixStream::connect(folder.join(format!(".s.PGSQL.{port}"))).map(Self::Unix)
    }
    #[cfg(not(unix))]
    fn unix(_: &Path, _: u16) -> io::Result<Self> {
        Err(ErrorKind::Unsupported.into())
    }

    fn open(place: &Place, port: u16, params: &Params) -> io::Result<Self> {
        match place {
            Place::Host(host) => Self::tcp(host, port, params),
            Place::Folder(folder) => Self::unix(folder, port),
            Place::Default => {
                #[cfg(unix)]
                for folder in FOLDERS {
                    if let Ok(stream) = Self::unix(Path::new(folder), port) {
                        return Ok(stream);
                    }
                }
                Self::tcp("localhost", port, params)
            }
        }
    }
}

/// A connection to Postgres.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    read: BytesMut,
}

impl Wire {
    /// Connects to the first server that lets it listen. Each stream is handed to `holding` before anything is waited for;
    /// an error of that ends it all.
    pub(super) fn listen(
        params: &Params,
        name: &str,
        statement: &str,
        beat: Duration,
        mut holding: impl FnMut(Stream) -> io::Result<()>,
    ) -> io::Result<Self> {
        let mut last = ErrorKind::AddrNotAvailable.into();
        for server in &params.servers {
            let stream = match Stream::open(&server.place, server.port, params) {
                Ok(stream) => stream,
                Err(cause) => {
                    last = cause;
                    continue;
                }
            };
            stream.set_patience(beat)?;
            holding(stream.try_clone()?)?;
            match Self::start(stream, params, name, statement) {
                Ok(wire) => return Ok(wire),
                Err(cause) => last = cause,
            }
        }
        Err(last)
    }

    fn start(stream: Stream, params: &Params, name: &str, statement: &str) -> io::Result<Self> {
        let mut wire = Self { stream, read: BytesMut::new() };
        let mut start = vec![
            ("user", params.user.as_str()),
            ("database", params.database.as_str()),
            ("application_name", name),
            ("client_encoding", "UTF8"),
        ];
        start.extend(params.options.iter().map(|options| ("options", options.as_str())));
        let mut out = BytesMut::new();
        frontend::startup_message(start, &mut out)?;
        wire.stream.write(&out)?;
        wire.authenticate(params)?;
        wire.query(statement)?;
        while !matches!(wire.next()?, Message::ReadyForQuery(_)) {}
        Ok(wire)
    }

    fn authenticate(&mut self, params: &Params) -> io::Result<()> {
        let password = || {
            let given = params.password.as_deref().map(str::as_bytes);
            given
                .ok_or_else(|| io::Error::new(ErrorKind::PermissionDenied, "it asks for a password, and none is given"))
        };
        let mut scram = None;
        loop {
            let mut out = BytesMut::new();
            match self.next()? {
                Message::AuthenticationCleartextPassword => frontend::password_message(password()?, &mut out)?,
                Message::AuthenticationMd5Password(asked) => {
                    let hash = md5_hash(params.user.as_bytes(), password()?, asked.salt());
                    frontend::password_message(hash.as_bytes(), &mut out)?;
                }
                Message::AuthenticationSasl(asked) => {
                    if !asked.mechanisms().any(|mechanism| Ok(mechanism == SCRAM_SHA_256))? {
                        return Err(bad("it does not offer SCRAM-SHA-256"));
                    }
                    let begun = scram.insert(ScramSha256::new(password()?, ChannelBinding::unsupported()));
                    frontend::sasl_initial_response(SCRAM_SHA_256, begun.message(), &mut out)?;
                }
                Message::AuthenticationSaslContinue(asked) => {
                    let begun = scram.as_mut().ok_or_else(|| bad("SCRAM goes on before it began"))?;
                    begun.update(asked.data())?;
                    frontend::sasl_response(begun.message(), &mut out)?;
                }
                Message::AuthenticationSaslFinal(told) => {
                    scram.as_mut().ok_or_else(|| bad("SCRAM ends before it began"))?.finish(told.data())?;
                }
                Message::AuthenticationOk
                | Message::ParameterStatus(_)
                | Message::BackendKeyData(_)
                | Message::NoticeResponse(_) => {}
                Message::ReadyForQuery(_) => return Ok(()),
                _ => return Err(bad("it asks for a kind of authentication that the listener does not know")),
            }
            if !out.is_empty() {
                self.stream.write(&out)?;
            }
        }
    }

    fn query(&mut self, statement: &str) -> io::Result<()> {
        let mut out = BytesMut::new();
        frontend::query(statement, &mut out)?;
        self.stream.write(&out)
    }

    /// The next message; one that tells an error is an `Err`.
    fn next(&mut self) -> io::Result<Message> {
        loop {
            match Message::parse(&mut self.read)? {
                Some(Message::ErrorResponse(told)) => return Err(told_by_server(&told)),
                Some(message) => return Ok(message),
                None => {}
            }
            let mut bytes = [0; 1024];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => self.read.extend_from_slice(&bytes[..n]),
                Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
                Err(cause) => return Err(cause),
            }
        }
    }

    /// Waits, for ever, until something is notified. Asks whether the server is still there when it has been silent for
    /// long; `alive` is called when it has answered. Fails when the connection is lost, or was shut down.
    pub(super) fn wait(&mut self, mut alive: impl FnMut()) -> io::Result<()> {
        let mut asked = false;
        loop {
            match self.next() {
                Ok(Message::NotificationResponse(_)) => return Ok(()),
                Ok(_) => {
                    asked = false;
                    alive();
                }
                Err(cause) if matches!(cause.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) && !asked => {
                    self.query("")?;
                    asked = true;
                }
                Err(cause) => return Err(cause),
            }
        }
    }
}

fn told_by_server(told: &ErrorResponseBody) -> io::Error {
    let (mut code, mut message) = (String::new(), String::new());
    let read = told.fields().for_each(|field| {
        match field.type_() {
            b'C' => code = String::from_utf8_lossy(field.value_bytes()).into_owned(),
            b'M' => message = String::from_utf8_lossy(field.value_bytes()).into_owned(),
            _ => {}
        }
        Ok(())
    });
    match read {
        // Class 28: invalid authorization.
        Ok(()) if code.starts_with("28") => io::Error::new(ErrorKind::PermissionDenied, message),
        Ok(()) => io::Error::other(format!("{message} ({code})")),
        Err(cause) => cause,
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    const READY: [u8; 6] = [b'Z', 0, 0, 0, 5, b'I'];
    const EMPTY_QUERY: [u8; 6] = [b'Q', 0, 0, 0, 5, 0];

    fn pair(beat: Duration) -> (Wire, UnixStream) {
        let (ours, server) = UnixStream::pair().unwrap();
        let stream = Stream::Unix(ours);
        stream.set_patience(beat).unwrap();
        (Wire { stream, read: BytesMut::new() }, server)
    }

    #[test]
    fn p77_a_server_that_does_not_answer_is_dead() {
        let (mut wire, mut server) = pair(Duration::from_millis(5));
        let lost = wire.wait(|| panic!("nobody answered")).unwrap_err();
        assert!(matches!(lost.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{lost}");
        let mut asked = [0; 6];
        server.read_exact(&mut asked).unwrap();
        assert_eq!(asked, EMPTY_QUERY);
    }

    #[test]
    fn p77_a_server_that_answers_is_waited_for() {
        let (mut wire, mut server) = pair(Duration::from_millis(200));
        let (tell, told) = crossbeam_channel::bounded(1);
        let answers = move || {
            for _ in 0..3 {
                let mut asked = [0; 6];
                server.read_exact(&mut asked).unwrap();
                assert_eq!(asked, EMPTY_QUERY);
                server.write_all(&READY).unwrap();
            }
            server.write_all(b"A\0\0\0\x0b\0\0\0\x01c\0").unwrap();
            server.write_all(b"\0A").unwrap(); // the rest of it, and a part of the next
            tell.send(server).unwrap();
        };
        crate::sync::thread::spawn("answers".into(), None, answers).unwrap();
        let mut beats = 0;
        wire.wait(|| beats += 1).unwrap();
        assert_eq!(beats, 3);
        drop(told.recv().unwrap());
        assert_eq!(wire.wait(|| {}).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_is_no_postgres_is_an_error() {
        for told in [&b"HTTP/1.1 400"[..], b"Z\0\0\0\0", b"\xff\0\0\0\x04", b"R\0\0\0\x08\0\0\0\x63"] {
            let (mut wire, mut server) = pair(Duration::from_millis(5));
            server.write_all(told).unwrap();
            drop(server);
            let params = super::super::params::parse("user=a", &|_| None, &|| None).unwrap();
            assert!(wire.authenticate(&params).is_err(), "{told:?}");
        }
    }
}
