//! Retry later: the wait is in the timer, the worker goes on, and a drain waits for it.
use drawgate::prelude::*;
use std::time::Duration;

static MAILS: PortName<Message<Mail>> = PortName::new("mails");
struct Mail {
    to: String,
}

fn send(_: &Mail) -> anyhow::Result<()> {
    anyhow::bail!("mailbox busy")
}

fn main() -> anyhow::Result<()> {
    let mails = drawgate::Port::bounded(100)
        .name(MAILS)
        .on_lost(|m: Message<Mail>, name| eprintln!("{name:?} is gone, lost the mail to {}", m.data.to))
        .spawn()?;
    let sender = drawgate::try_for_each(|mail: Message<Mail>| match send(&mail.data) {
        Ok(()) => Ok(()),
        Err(e) if mail.attempt() == 5 => {
            eprintln!("gave up on {}: {e}", mail.data.to);
            Ok(())
        }
        Err(_) => {
            let delay = Duration::from_millis(100 << mail.attempt());
            MAILS.retry_after(mail.next_attempt(), delay).map_err(|e| e.kind())?;
            Ok(())
        }
    });
    let sender = sender.name("sender").subscribe_to(&mails).spawn()?;
    mails.push(Message::new(Mail { to: "joe".into() })).map_err(|e| e.kind())?;
    mails.close(); // `join` ends when the buffer and the delayed are through
    Ok(sender.join()?)
}
