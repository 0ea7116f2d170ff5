//! A Postgres server of the tests' own: no port, a socket in a folder that goes with the process.

use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;

/// The URL of the server that all tests share; none if this machine has no Postgres, which is said once.
pub(crate) fn url() -> Option<&'static str> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    let server = SERVER.get_or_init(|| match bin() {
        Some(bin) => Some(Server::start(&bin, false)),
        None => {
            let line = "left out: the tests of jobs on Postgres, for want of `initdb` (install Postgres' server)\n";
            let _ = std::io::stderr().write_all(line.as_bytes()); // past the capture of the test's output
            None
        }
    });
    server.as_ref().map(|server| server.url.as_str())
}

/// Where the server's programs are.
fn bin() -> Option<PathBuf> {
    let on_path =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>()).unwrap_or_default();
    let packaged = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut packaged: Vec<PathBuf> = packaged.map(|version| version.path().join("bin")).collect();
    packaged.sort();
    on_path.into_iter().chain(packaged.into_iter().rev()).find(|dir| dir.join("initdb").is_file())
}

pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) data: PathBuf,
    bin: PathBuf,
    /// Whom it runs as: it refuses to be root.
    user: Option<(u32, u32)>,
    /// Closing it ends the server, and removes its folder; so does the end of this process, whatever that is.
    alive: Option<ChildStdin>,
    shell: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.alive.take());
        let _ = self.shell.wait();
    }
}

impl Server {
    /// One of its own, for a test that stops it; `durable`: it waits for the disk at each commit, as installed ones do.
    pub(crate) fn new(durable: bool) -> Option<Self> {
        bin().map(|bin| Self::start(&bin, durable))
    }

    fn start(bin: &Path, durable: bool) -> Self {
        let dir = tempfile::Builder::new().prefix("drawgate-").tempdir_in("/tmp").expect("a folder");
        let user = unprivileged();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).expect("its own folder");
        if let Some((uid, gid)) = user {
            chown(dir.path(), Some(uid), Some(gid)).expect("root may");
        }
        let data = dir.path().join("data");
        let mut initdb = Command::new(bin.join("initdb"));
        initdb
            .args(["--auth=trust", "--username=drawgate", "--no-sync", "--encoding=UTF8", "--locale=C", "-D"])
            .arg(&data);
        run(as_user(&mut initdb, user));
        // The shell waits for its input to end, which it does with this process.
        let script = r#""$0/postgres" -D "$1" & read -r _; "$0/pg_ctl" -D "$1" -m immediate stop; rm -rf "$2""#;
        let socket = dir.path().to_str().expect("plain names");
        let config = format!(
            "listen_addresses = ''\nunix_socket_directories = '{socket}'\nfsync = {durable}\nlog_min_messages = fatal\nmax_connections = 200\n"
        );
        let mut conf =
            std::fs::OpenOptions::new().append(true).open(data.join("postgresql.conf")).expect("made by initdb");
        conf.write_all(config.as_bytes()).expect("room");
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).arg(bin).arg(&data).arg(dir.path());
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut shell = as_user(&mut shell, user).spawn().expect("a shell");
        let server = Self {
            url: format!("host={socket} user=drawgate dbname=postgres"),
            data,
            bin: bin.to_owned(),
            user,
            alive: shell.stdin.take(),
            shell,
        };
        let _path = dir.keep(); // the shell removes it
        server.wait();
        server
    }

    /// Waits until it takes connections.
    pub(crate) fn wait(&self) {
        use diesel::Connection;
        while diesel::PgConnection::establish(&self.url).is_err() {
            std::thread::yield_now();
        }
    }

    pub(crate) fn pg_ctl(&self, args: &[&str]) {
        let mut pg_ctl = Command::new(self.bin.join("pg_ctl"));
        pg_ctl.arg("-D").arg(&self.data).args(args).stdout(Stdio::null()).stderr(Stdio::null());
        run(as_user(&mut pg_ctl, self.user));
    }
}

/// Somebody else than root, if this is root.
fn unprivileged() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt;
    let me = std::fs::metadata("/proc/self").ok()?.uid();
    if me != 0 {
        return None;
    }
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    let user = |name: &str| {
        let fields: Vec<&str> = passwd.lines().find(|line| line.split(':').next() == Some(name))?.split(':').collect();
        Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
    };
    user("postgres").or_else(|| user("nobody"))
}

fn as_user(command: &mut Command, user: Option<(u32, u32)>) -> &mut Command {
    command.current_dir("/");
    match user {
        Some((uid, gid)) => command.uid(uid).gid(gid),
        None => command,
    }
}

fn run(command: &mut Command) {
    let out = command.output().expect("it is there");
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
}
