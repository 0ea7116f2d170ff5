//! Names of stages and ports.

use crate::sync::Arc;
use std::fmt;

/// The name of a stage or a port: a string, or the triple `(network, node, port)`. Cheap to clone.
///
/// ```
/// use drawgate::Name;
/// assert_eq!(Name::from("orders").to_string(), "orders");
/// assert_eq!(Name::from(("shop", "till", "orders")).to_string(), "shop/till/orders");
/// assert_ne!(Name::from(("shop", "till", "orders")), Name::from("shop/till/orders")); // a triple is no string
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

/// Joins the parts of a triple; not a character that a sane name holds.
const JOINT: char = '\u{1f}';

impl Name {
    pub(crate) fn key(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Name {
    fn from(s: &str) -> Self {
        Self(Arc::from(s))
    }
}
impl From<String> for Name {
    fn from(s: String) -> Self {
        Self(Arc::from(s))
    }
}
impl From<(&str, &str, &str)> for Name {
    fn from((network, node, port): (&str, &str, &str)) -> Self {
        Self(Arc::from(format!("{network}{JOINT}{node}{JOINT}{port}")))
    }
}
impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = self.0.split(JOINT);
        f.write_str(parts.next().unwrap_or_default())?;
        parts.try_for_each(|part| write!(f, "/{part}"))
    }
}
impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}
