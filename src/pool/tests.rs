//! What cannot be brought about from outside: a system that gives some threads and then no more.

use crate::prelude::*;
use crate::runtime::Telemetry;
use crate::sync::chan::bounded;
use std::sync::mpsc;

#[test]
fn p53_a_pool_that_gets_no_more_threads_goes_on_with_those_it_has_and_tells_it_once() {
    let rt = Runtime::new();
    let (tell, told) = mpsc::channel();
    rt.on_event(move |event| {
        if let Telemetry::NoThread { stage, .. } = event {
            tell.send(stage.to_string()).unwrap();
        }
    });
    let port = Port::bounded(10).runtime(&rt).spawn().unwrap();
    let (begun, begins) = mpsc::channel();
    let (go, gone) = bounded(0);
    let pool = crate::workers(move |n: u32| {
        begun.send(n)?;
        Ok(gone.recv()?)
    });
    let (stage, crew) = pool.threads(3).runtime(&rt).name("few").subscribe_to(&port).start().unwrap();
    port.push(0).unwrap();
    assert_eq!(begins.recv(), Ok(0));
    stage.call(|foreman, _| foreman.stack_size = Some(usize::MAX / 2)).unwrap();
    port.push_all(vec![1, 2, 3]).unwrap();
    assert_eq!(told.recv().as_deref(), Ok("few"));
    assert_eq!(crew.roster().counts().threads, 1);
    for n in 1..=3 {
        go.send(()).unwrap();
        assert_eq!(begins.recv(), Ok(n), "on the thread there is");
    }
    port.close();
    go.send(()).unwrap();
    stage.join().unwrap();
    assert_eq!(crew.roster().counts().handled, 4);
    assert!(told.try_recv().is_err(), "told once, until it gets one again");
}
