//! Letters to a stage, and the end of a mailbox.

use super::*;

/// F3: no thread sleeps on mail. F4, of letters: one sender's are read in order.
#[test]
fn a_letter_wakes_a_stage_that_sleeps() {
    explore(|| {
        let mut stage = Stage::new(1);
        let mail = stage.mail();
        let sender = spawn(move || {
            for n in [1, 2] {
                mail.post(Letter::Number(n)).unwrap();
            }
        });
        let mut read = Vec::new();
        while read.len() < 2 {
            let Got::Mail(letters) = stage.next() else { panic!("there is nothing but mail") };
            read.extend(letters);
        }
        assert_eq!(read, [Letter::Number(1), Letter::Number(2)]);
        join([sender]);
    });
}

/// F3. An order stands elsewhere than in the mail; the stage looks at it whenever it has looked at its mail.
#[test]
fn a_nudge_is_not_lost_in_mail_that_is_taken() {
    explore(|| {
        let mut stage = Stage::new(1);
        let order = Arc::new(Mutex::new(false));
        let gives_order = spawn({
            let (mail, order) = (stage.mail(), order.clone());
            move || {
                *order.lock().unwrap() = true;
                mail.nudge();
            }
        });
        let sends_letter = spawn({
            let mail = stage.mail();
            move || mail.post(Letter::Number(1)).unwrap()
        });
        let mut read = Vec::new();
        loop {
            let Got::Mail(letters) = stage.next() else { panic!("there is nothing but mail") };
            read.extend(letters);
            if *order.lock().unwrap() && !read.is_empty() {
                break;
            }
        }
        join([gives_order, sends_letter]);
    });
}

/// F6: every caller, with a value that says so.
#[test]
fn a_letter_posted_while_the_mailbox_closes_is_answered() {
    /// Answers whoever waits for it when it is dropped, read or not.
    struct Call(Tally);
    impl Drop for Call {
        fn drop(&mut self) {
            self.0.add(1);
        }
    }
    explore(|| {
        let mail = Arc::new(Mailbox::<Call>::new(nobody()));
        let callers = [(); 2].map(|()| {
            let mail = mail.clone();
            spawn(move || {
                let answered = Tally::new();
                drop(mail.post(Call(answered.clone()))); // refused: answered as well
                answered.wait_for(1);
            })
        });
        drop(mail.take());
        drop(mail.close());
        join(callers);
    });
}
