//! A port fed by a blocking socket server: a bounded wait, metadata, a polite refusal. Its own client, so that it ends.
use drawgate::prelude::*;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

struct From(SocketAddr);

fn serve(conn: TcpStream, lines: &Port<Message<String>>) -> anyhow::Result<()> {
    let peer = conn.peer_addr()?;
    let mut reply = conn.try_clone()?;
    for line in BufReader::new(conn).lines() {
        let message = Message::new(line?).with(From(peer));
        match lines.push_timeout(message, Duration::from_millis(500)) {
            Ok(()) => writeln!(reply, "ok")?,
            Err(PushError::Timeout(message)) => writeln!(reply, "busy, try again: {}", message.data)?,
            Err(e) => return Err(e.kind().into()), // closed: we are going down
        }
    }
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let lines = Port::<Message<String>>::bounded(1024).name("lines").spawn()?;
    let printer = drawgate::for_each(|m: Message<String>| {
        println!("{:?}: {}", m.meta.get::<From>().map(|from| from.0.ip()), m.data);
    });
    let printer = printer.subscribe_to(&lines).spawn()?;

    let listener = TcpListener::bind("127.0.0.1:0")?;
    let at = listener.local_addr()?;
    let client = std::thread::spawn(move || -> anyhow::Result<usize> {
        let mut conn = TcpStream::connect(at)?;
        conn.write_all(b"one\ntwo\nthree\n")?;
        conn.shutdown(std::net::Shutdown::Write)?;
        Ok(BufReader::new(conn).lines().count())
    });
    serve(listener.accept()?.0, &lines)?; // a real server has a thread a connection, with a clone of the port
    lines.close();
    printer.join()?;
    assert_eq!(client.join().expect("the client does not panic")?, 3);
    Ok(())
}
