//! What libpq takes for a connection: a URL, or pairs of a key and a value. Read here as far as a listener needs it.
//!
//! What is not given comes from the environment, as with libpq. Not read: service files, password files, certificates.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::Duration;

/// Where and as whom to connect.
#[derive(Debug, PartialEq)]
pub(super) struct Params {
    /// To be tried in this order.
    pub(super) servers: Vec<Server>,
    pub(super) user: String,
    pub(super) password: Option<String>,
    pub(super) database: String,
    /// For the server, at the start.
    pub(super) options: Option<String>,
    pub(super) connect_timeout: Option<Duration>,
    /// Why a connection by TCP is out of the question.
    pub(super) no_tcp: Option<String>,
}

#[derive(Debug, PartialEq)]
pub(super) struct Server {
    pub(super) place: Place,
    pub(super) port: u16,
}

#[derive(Debug, PartialEq)]
pub(super) enum Place {
    /// The socket in the usual folder, else this machine by TCP.
    Default,
    /// The socket in this folder.
    Folder(PathBuf),
    /// By TCP.
    Host(String),
}

/// Messages name keys, never values: one may be a password.
fn bad(message: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, message.into())
}
fn unsupported(message: String) -> io::Error {
    io::Error::new(ErrorKind::Unsupported, message)
}

/// Reads them. `env` is the environment; `os_user` who this process is.
pub(super) fn parse(
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
    os_user: &dyn Fn() -> Option<String>,
) -> io::Result<Params> {
    let url = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
    let given: HashMap<String, String> = match url {
        Some(rest) => of_url(rest)?,
        None => of_pairs(text)?,
    }
    .into_iter()
    .collect(); // of two values the last
    let get =
        |key: &str, variable: &str| given.get(key).cloned().or_else(|| env(variable)).filter(|value| !value.is_empty());

    // What would not be heeded must not be passed over.
    for (key, variable) in [("service", "PGSERVICE"), ("require_auth", "PGREQUIREAUTH")] {
        if get(key, variable).is_some() {
            return Err(unsupported(format!("`{key}` is not known to the listener")));
        }
    }
    if get("channel_binding", "PGCHANNELBINDING").is_some_and(|mode| mode == "require") {
        return Err(unsupported("`channel_binding` is not known to the listener".into()));
    }
    let mut no_tcp = None;
    for (key, variable) in [("sslmode", "PGSSLMODE"), ("gssencmode", "PGGSSENCMODE")] {
        if let Some(mode) = get(key, variable).filter(|m| !matches!(m.as_str(), "disable" | "allow" | "prefer")) {
            no_tcp = Some(format!("`{key}={mode}`, and the listener knows no encryption"));
        }
    }

    let user = get("user", "PGUSER").or_else(os_user).ok_or_else(|| bad("no user is named"))?;
    let connect_timeout = match get("connect_timeout", "PGCONNECT_TIMEOUT") {
        Some(seconds) => {
            let seconds: i64 = seconds.trim().parse().map_err(|_| bad("`connect_timeout` is no number"))?;
            u64::try_from(seconds).ok().filter(|n| *n > 0).map(Duration::from_secs)
        }
        None => None,
    };
    Ok(Params {
        servers: servers(get("host", "PGHOST"), get("hostaddr", "PGHOSTADDR"), get("port", "PGPORT"))?,
        password: get("password", "PGPASSWORD"),
        database: get("dbname", "PGDATABASE").unwrap_or_else(|| user.clone()),
        user,
        options: get("options", "PGOPTIONS"),
        connect_timeout,
        no_tcp,
    })
}

/// Lists with commas: as many addresses as hosts, if there are both, and as many ports or one for all.
fn servers(host: Option<String>, address: Option<String>, port: Option<String>) -> io::Result<Vec<Server>> {
    let list = |text: &Option<String>| -> Vec<String> {
        text.iter().flat_map(|text| text.split(',')).map(|item| item.trim().to_owned()).collect()
    };
    let (hosts, addresses, ports) = (list(&host), list(&address), list(&port));
    let n = hosts.len().max(addresses.len()).max(1);
    let fits = |list: &[String]| list.is_empty() || list.len() == n;
    if !fits(&hosts) || !fits(&addresses) || !(fits(&ports) || ports.len() == 1) {
        return Err(bad("`host`, `hostaddr` and `port` name different numbers of servers"));
    }
    let one = |i: usize| {
        let item = |list: &[String]| list.get(i).filter(|item| !item.is_empty()).cloned();
        let place = match item(&addresses).or_else(|| item(&hosts)) {
            Some(folder) if folder.starts_with('/') => Place::Folder(folder.into()),
            Some(host) => Place::Host(host),
            None => Place::Default,
        };
        let port = if ports.len() == 1 { ports.first().filter(|port| !port.is_empty()).cloned() } else { item(&ports) };
        let port = match port {
            Some(port) => port.parse().map_err(|_| bad("`port` is no number of a port"))?,
            None => 5432,
        };
        Ok(Server { place, port })
    };
    (0..n).map(one).collect()
}

/// `user:password@host:port,host:port/database?key=value&key=value`, each part of it optional.
fn of_url(rest: &str) -> io::Result<Vec<(String, String)>> {
    let mut all = Vec::new();
    let mut put = |key: &str, value: &str| -> io::Result<()> {
        if !value.is_empty() {
            all.push((key.to_owned(), decoded(value)?));
        }
        Ok(())
    };
    // As libpq does it: the first @ counts, if no slash is before it.
    let rest = match rest.find(['@', '/']) {
        Some(at) if rest[at..].starts_with('@') => {
            let (user, password) = rest[..at].split_once(':').unwrap_or((&rest[..at], ""));
            put("user", user)?;
            put("password", password)?;
            &rest[at + 1..]
        }
        _ => rest,
    };
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (servers, database) = place.split_once('/').unwrap_or((place, ""));
    put("dbname", database)?;
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    for server in servers.split(',') {
        let (host, port) = match server.strip_prefix('[') {
            Some(six) => {
                let (host, after) = six.split_once(']').ok_or_else(|| bad("a [ without its ]"))?;
                (host, after.strip_prefix(':').unwrap_or(""))
            }
            None => server.split_once(':').unwrap_or((server, "")),
        };
        hosts.push(host);
        ports.push(port);
    }
    if hosts.iter().any(|host| !host.is_empty()) {
        put("host", &hosts.join(","))?;
    }
    if ports.iter().any(|port| !port.is_empty()) {
        put("port", &ports.join(","))?;
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or_else(|| bad("a parameter without a value"))?;
        match (key, value) {
            ("ssl", "true") => put("sslmode", "require")?, // as libpq, for those who come from JDBC
            _ => put(&decoded(key)?, value)?,
        }
    }
    Ok(all)
}

fn decoded(text: &str) -> io::Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        let byte = part.get(..2).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        match byte.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if byte != 0 => bytes.push(byte),
            _ => return Err(bad("a % without two hexadecimal digits")),
        }
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).map_err(|_| bad("what the % stand for is no UTF-8"))
}

/// `key = value key = 'value'`; a backslash takes the next character as it is.
fn of_pairs(text: &str) -> io::Result<Vec<(String, String)>> {
    let mut all = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=').ok_or_else(|| bad("a key without a value"))?;
        let key = key.trim_end();
        if key.is_empty() || key.contains(char::is_whitespace) {
            return Err(bad("a key without a value"));
        }
        let after = after.trim_start();
        let (quoted, body) = after.strip_prefix('\'').map_or((false, after), |body| (true, body));
        let (mut value, mut end) = (String::new(), None);
        let mut chars = body.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => value.extend(chars.next().map(|(_, c)| c)),
                '\'' if quoted => end = Some(at + 1),
                c if !quoted && c.is_whitespace() => end = Some(at),
                c => value.push(c),
            }
            if end.is_some() {
                break;
            }
        }
        if quoted && end.is_none() {
            return Err(bad(format!("the quote around `{key}` does not end")));
        }
        all.push((key.to_owned(), value));
        rest = body[end.unwrap_or(body.len())..].trim_start();
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_in(text: &str, env: &[(&str, &str)]) -> io::Result<Params> {
        let env: HashMap<String, String> = env.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        parse(text, &|key| env.get(key).cloned(), &|| Some("miller".into()))
    }
    fn read(text: &str) -> Params {
        read_in(text, &[]).unwrap()
    }
    fn at(place: &str, port: u16) -> Server {
        let place = if place.starts_with('/') { Place::Folder(place.into()) } else { Place::Host(place.into()) };
        Server { place, port }
    }
    fn who(params: &Params) -> (&str, Option<&str>, &str) {
        (&params.user, params.password.as_deref(), &params.database)
    }

    #[test]
    fn pairs_are_read() {
        let params = read("host=/tmp/x user=drawgate dbname=postgres");
        assert_eq!((who(&params), &params.servers), (("drawgate", None, "postgres"), &vec![at("/tmp/x", 5432)]));
        let params = read(r"  user = 'a b\'c\\'password=a\ b\'   port=  7  host=mill dbname='' ");
        assert_eq!((who(&params), &params.servers), ((r"a b'c\", Some("a b'"), r"a b'c\"), &vec![at("mill", 7)]));
        assert_eq!(read("user=a user=b").user, "b");
        assert_eq!(read("connect_timeout=3").connect_timeout, Some(Duration::from_secs(3)));
        assert_eq!(read("connect_timeout=-1 options='-c a=b'").options.unwrap(), "-c a=b");
        for wrong in ["host", "host=a b", "=a", "a b=c", "host='a", "port=x", "port=70000", "connect_timeout=x"] {
            assert_eq!(read_in(wrong, &[]).unwrap_err().kind(), ErrorKind::InvalidInput, "{wrong}");
        }
    }

    #[test]
    fn urls_are_read() {
        let params = read("postgres://a%40b:p%3A%25w@mill:7/my%20shop?application_name=x&connect_timeout=2");
        assert_eq!((who(&params), &params.servers), (("a@b", Some("p:%w"), "my shop"), &vec![at("mill", 7)]));
        assert_eq!(params.connect_timeout, Some(Duration::from_secs(2)));
        let params = read("postgresql://u:p:q@[::1]:8");
        assert_eq!((who(&params), &params.servers), (("u", Some("p:q"), "u"), &vec![at("::1", 8)]));
        assert_eq!(read("postgres://%2Ftmp%2Fx/db").servers, [at("/tmp/x", 5432)]);
        assert_eq!(read("postgres:///db?host=/tmp&port=9&user=x").servers, [at("/tmp", 9)]);
        assert_eq!(read("postgres://mill?user=x").servers, [at("mill", 5432)]);
        assert_eq!(read("postgres://u@/db").servers, [Server { place: Place::Default, port: 5432 }]);
        assert_eq!(who(&read("postgres://")), ("miller", None, "miller"));
        for wrong in ["postgres://%zz/", "postgres://%4", "postgres://%00/", "postgres://%ff", "postgres://[::1/a"] {
            assert_eq!(read_in(wrong, &[]).unwrap_err().kind(), ErrorKind::InvalidInput, "{wrong}");
        }
        for wrong in ["postgres://a?b", "postgres://a:b:c/", "postgres://é%é/"] {
            assert!(read_in(wrong, &[]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn several_servers_are_tried_in_order() {
        assert_eq!(read("postgres://a:1,b,[::2]:3/db").servers, [at("a", 1), at("b", 5432), at("::2", 3)]);
        assert_eq!(read("host=a,/b port=7").servers, [at("a", 7), at("/b", 7)]);
        assert_eq!(read("host=a,b hostaddr='10.0.0.1,' port=7,8").servers, [at("10.0.0.1", 7), at("b", 8)]);
        assert!(read_in("host=a,b port=1,2,3", &[]).is_err());
    }

    #[test]
    fn the_environment_says_what_is_not_given() {
        let env = [
            ("PGHOST", "mill"),
            ("PGPORT", "7"),
            ("PGUSER", "u"),
            ("PGPASSWORD", "p"),
            ("PGDATABASE", "d"),
            ("PGSSLMODE", "require"),
        ];
        let params = read_in("", &env).unwrap();
        assert_eq!((who(&params), &params.servers), (("u", Some("p"), "d"), &vec![at("mill", 7)]));
        assert!(params.no_tcp.unwrap().contains("`sslmode=require`"));
        let params = read_in("host=a port=8 user=v password=q dbname=e sslmode=prefer", &env).unwrap();
        assert_eq!((who(&params), &params.servers), (("v", Some("q"), "e"), &vec![at("a", 8)]));
        assert_eq!(params.no_tcp, None);
    }

    #[test]
    fn what_it_does_not_heed_is_refused() {
        for mode in ["disable", "allow", "prefer"] {
            assert_eq!(read(&format!("sslmode={mode}")).no_tcp, None);
        }
        for text in ["sslmode=verify-full", "postgres://a?ssl=true", "gssencmode=require"] {
            assert!(read(text).no_tcp.is_some(), "{text}");
        }
        for text in ["service=x", "require_auth=scram-sha-256", "channel_binding=require"] {
            assert_eq!(read_in(text, &[]).unwrap_err().kind(), ErrorKind::Unsupported, "{text}");
        }
    }

    #[test]
    fn no_message_tells_a_value() {
        for text in ["password=secret host", "postgres://u:secret%zz@a/", "password='secret", "secret"] {
            let told = read_in(text, &[]).unwrap_err().to_string();
            assert!(!told.contains("secret"), "{told}");
        }
    }
}
