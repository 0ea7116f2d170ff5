//! Between two crossbeam channels that other code owns; and a source that blocks on a socket.
use crossbeam_channel::{Receiver, Sender};
use std::net::{SocketAddr, TcpListener, TcpStream};

struct Frame(Vec<u8>);
fn encode(f: Frame) -> Vec<u8> {
    f.0
}

fn between(frames: Receiver<Frame>, encoded: Sender<Vec<u8>>) -> anyhow::Result<()> {
    drawgate::from_receiver(frames)
        .name("frames")
        .parallel_map(4, encode)
        .to(drawgate::to_sender(encoded).name("encoded"))
        .run()?; // ends when all senders of `frames` are gone
    Ok(())
}

fn accept(at: SocketAddr) -> anyhow::Result<drawgate::Handle<drawgate::Nothing, TcpStream>> {
    let accepted = drawgate::source(move |out| {
        let listener = TcpListener::bind(at)?;
        out.stop_token().on_stop(move || drop(TcpStream::connect(at))); // wakes `accept`
        loop {
            out.emit(listener.accept()?.0)?; // waits until somebody asks; `Stopped` on a stop
        }
    });
    Ok(accepted.name("accept").spawn()?)
}

fn main() -> anyhow::Result<()> {
    let (tx, rx) = crossbeam_channel::bounded(8);
    let (out, encoded) = crossbeam_channel::bounded(8);
    let work = std::thread::spawn(move || between(rx, out));
    tx.send(Frame(vec![0]))?;
    drop(tx);
    println!("{}", encoded.iter().count());
    work.join().unwrap()?;
    accept("127.0.0.1:7000".parse()?)?;
    Ok(())
}
