//! Paths as text, for the queue and the manifest: bytes that are not UTF-8 are written `\xff`, a backslash twice.

use std::{
    ffi::OsString,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

pub(crate) fn encode(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', "\\\\"));
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

/// The path that [`encode`] wrote.
pub(crate) fn decode(text: &str) -> PathBuf {
    let (mut bytes, mut rest) = (Vec::new(), text);
    while let Some((plain, escaped)) = rest.split_once('\\') {
        bytes.extend(plain.bytes());
        rest = match escaped.strip_prefix('x').and_then(|hex| Some((hex.get(..2)?, hex.get(2..)?))) {
            Some((hex, rest)) => {
                bytes.extend(u8::from_str_radix(hex, 16));
                rest
            }
            None => {
                bytes.push(b'\\');
                escaped.strip_prefix('\\').unwrap_or(escaped)
            }
        };
    }
    bytes.extend(rest.bytes());
    OsString::from_vec(bytes).into()
}
