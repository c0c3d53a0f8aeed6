//! Any bytes are a session file, and a save that is cut off anywhere leaves the old session or the new one.
//!
//! Each byte string that ends with 0xff is a session; the two bytes before that say where its save ends.

#![no_main]

use std::cell::RefCell;
use std::io;

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "the format is compiled on its own here")]
#[path = "../../../src/session_file.rs"]
mod session_file;

use session_file::{parse, Kind, WriteAt};

const PICKLE: &[u8] = b"\x80\x02}q\x00(X\x07\x00\x00\x00_layoutq\x01K\x02X";
const JSON: &[u8] = b"{\"_layout\":2,";

/// A file in memory, to which only so many more bytes can be written.
struct Disk {
    bytes: RefCell<Vec<u8>>,
    left: RefCell<usize>,
}

impl WriteAt for Disk {
    fn write_at(&self, bytes: &[u8], offset: usize) -> io::Result<()> {
        let mut file = self.bytes.borrow_mut();
        let mut left = self.left.borrow_mut();
        let written = bytes.len().min(*left);
        *left -= written;
        let end = offset + written;
        if written > 0 && file.len() < end {
            file.resize(end, 0);
        }
        if written > 0 {
            file[offset..end].copy_from_slice(&bytes[..written]);
        }
        if written < bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

fn is_session(found: &[u8], session: &[u8], kind: Kind) -> bool {
    match kind {
        // What follows the end of a pickle does not count.
        Kind::Pickle => found.starts_with(session),
        Kind::Json => found == session,
    }
}

fuzz_target!(|data: &[u8]| {
    let (session, _) = parse(data);
    assert!(session.len() <= data.len());

    let Some((&choice, rest)) = data.split_first() else {
        return;
    };
    let (kind, start, end) = match choice & 1 {
        0 => (Kind::Pickle, PICKLE, b'.'),
        _ => (Kind::Json, JSON, b'}'),
    };
    let mut saves = rest.split(|&byte| byte == 0xff).map(|piece| {
        let (text, cut) = piece.split_at(piece.len().saturating_sub(2));
        let cut = cut.iter().fold(0, |sum, &byte| sum * 256 + usize::from(byte));
        // A byte repeated makes a session of any size out of a short input.
        let times = if choice & 2 == 0 { 1 } else { 40 };
        let text = text.iter().filter(|&&byte| byte != 0 && byte != end);
        let text = text.flat_map(|&byte| std::iter::repeat_n(byte, times));
        let session: Vec<u8> = start.iter().copied().chain(text).chain([end]).collect();
        (session, cut)
    });
    let (mut old, _) = saves.next().expect("split gives one");
    if old.len() > 4096 {
        return;
    }
    let disk = Disk { bytes: RefCell::new(old.clone()), left: RefCell::new(0) };
    for (new, cut) in saves {
        let file = disk.bytes.borrow().clone();
        let (found, layout) = parse(&file);
        assert!(is_session(&found, &old, kind), "the session is not what was saved");
        let mut layout = layout.expect("a session of this kind has one");
        if !layout.takes(&new) {
            continue;
        }
        *disk.left.borrow_mut() = cut;
        let is_done = layout.write(&disk, &new).is_ok();
        let file = disk.bytes.borrow();
        let (found, _) = parse(&file);
        if is_session(&found, &new, kind) {
            old = new;
        } else {
            assert!(!is_done, "a save that succeeded is lost");
            assert!(is_session(&found, &old, kind), "neither the old session nor the new one");
        }
    }
});
