//! Push by name from another module, without passing a handle through the whole program.
#![allow(unreachable_pub, reason = "the modules of a program in one file")]

use drawgate::prelude::*;

mod orders {
    use super::*;
    pub struct Order(pub u64);
    /// Name and event type in one place: a wrong event does not compile.
    pub static ORDERS: PortName<Order> = PortName::new("orders");

    pub fn start() -> anyhow::Result<Port<Order>> {
        let port = drawgate::Port::bounded(1024).name(ORDERS).spawn()?;
        drawgate::for_each(|order: Order| println!("order {}", order.0))
            .name("printer")
            .subscribe_to(&ORDERS)
            .spawn()?;
        Ok(port)
    }
}

mod http {
    use super::*;
    use orders::{ORDERS, Order};
    pub fn post_order(id: u64) -> &'static str {
        match ORDERS.try_push(Order(id)) {
            Ok(()) => "202",
            Err(PushError::Full(_)) => "429",
            Err(_) => "503",
        }
    }
    /// A name from a configuration file: the event type is checked when it is pushed.
    pub fn post_to(name: &str, id: u64) -> Result<(), PushError<Order>> {
        Runtime::global().registry().push(name, Order(id))
    }
}

fn main() -> anyhow::Result<()> {
    let port = orders::start()?;
    println!("{} {:?}", http::post_order(1), http::post_to("orders", 2));
    port.close();
    port.join()?;
    Ok(())
}
