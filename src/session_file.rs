//! Files of FileSession: written in place, and yet never torn.
//!
//! A file begins with what mod_python has always written there: the session. A save writes the new one
//! twice, first behind the old one, with a checksum, and then over it. A process that is killed in the
//! middle leaves the old session or the new one, other readers find the session where they expect it, and
//! nothing is created, renamed or removed, which takes long on a disk that is busy.
//!
//! ```text
//! 0      first copy; in a pickle whatever follows its end does not count, in JSON NULs follow
//! 4096   MARK, length and CRC-32 of the second copy in hex
//! +23    second copy
//! ```
//!
//! Only sessions that begin in a certain way have a second copy. What a visitor can get into a session
//! comes later in the file, so nobody can make a plain session look like one with a second copy.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// Room for the first copy.
const ROOM: usize = 4096;
const MARK: &[u8] = b"\nMPFS4\n";
const LENGTH: Range<usize> = ROOM + MARK.len()..ROOM + MARK.len() + 8;
const CHECKSUM: Range<usize> = LENGTH.end..LENGTH.end + 8;
const SECOND: usize = CHECKSUM.end;

/// How a session is written that may have a second copy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Pickle,
    Json,
}

impl Kind {
    /// The kind of a session that may have a second copy; `None` for others.
    pub fn of(session: &[u8]) -> Option<Self> {
        const PICKLE: &[u8] = b"\x80\x02}q\x00(X\x07\x00\x00\x00_layoutq\x01K\x02X";
        if session.starts_with(PICKLE) {
            Some(Self::Pickle)
        } else if session.starts_with(b"{\"_layout\":2,") {
            Some(Self::Json)
        } else {
            None
        }
    }
}

/// What a file is like, for the next save.
#[derive(Debug)]
pub struct Layout {
    kind: Kind,
    /// The bytes that the first copy may have used.
    size: usize,
    /// The session, where the first copy is only half of it.
    repair: Option<Box<[u8]>>,
}

/// The session in a file's bytes, and the file's layout if it may have a second copy.
pub fn parse(file: &[u8]) -> (Cow<'_, [u8]>, Option<Layout>) {
    let Some(kind) = Kind::of(file) else {
        return (Cow::Borrowed(file), None);
    };
    let mut layout = Layout {
        kind,
        size: file.len().min(ROOM),
        repair: None,
    };
    let first = match kind {
        Kind::Pickle => file,
        Kind::Json => {
            // No NUL follows a session that fills the room; the mark, or the start of it, may.
            let (room, rest) = file.split_at(file.len().min(ROOM));
            let is_marked = MARK.starts_with(&rest[..rest.len().min(MARK.len())]);
            let first = if is_marked { room } else { file };
            &first[..memchr::memchr(0, first).unwrap_or(first.len())]
        }
    };
    let Some(second) = second_copy(file) else {
        // The save that wrote it was cut off, and has not touched the first copy.
        return (Cow::Borrowed(first), Some(layout));
    };
    let is_whole = match kind {
        Kind::Pickle => first.starts_with(second),
        Kind::Json => first[..first.len().min(ROOM)] == *second,
    };
    if !is_whole {
        layout.repair = Some(second.into());
    }
    (Cow::Borrowed(second), Some(layout))
}

fn second_copy(file: &[u8]) -> Option<&[u8]> {
    if file.get(ROOM..LENGTH.start) != Some(MARK) {
        return None;
    }
    let number = |range| {
        let digits = std::str::from_utf8(file.get(range)?).ok()?;
        u32::from_str_radix(digits, 16).ok()
    };
    let length = number(LENGTH)? as usize;
    let second = file.get(SECOND..SECOND.checked_add(length)?)?;
    (crc32fast::hash(second) == number(CHECKSUM)?).then_some(second)
}

/// Where a session is written to.
pub trait WriteAt {
    fn write_at(&self, bytes: &[u8], offset: usize) -> io::Result<()>;
}

impl WriteAt for File {
    fn write_at(&self, bytes: &[u8], offset: usize) -> io::Result<()> {
        self.write_all_at(bytes, offset as u64)
    }
}

impl Layout {
    /// Whether this session can be written in place.
    pub fn takes(&self, session: &[u8]) -> bool {
        session.len() <= ROOM && Kind::of(session) == Some(self.kind)
    }

    /// Makes `session`, which the layout takes, the session of the file.
    ///
    /// # Errors
    /// What the operating system refused; the file then holds the old session or the new one.
    pub fn write(&mut self, file: &impl WriteAt, session: &[u8]) -> io::Result<()> {
        if let Some(repair) = &self.repair {
            // Before its other copy is written over.
            file.write_at(&self.first(repair), 0)?;
        }
        let mut second = Vec::with_capacity(SECOND - ROOM + session.len());
        second.extend_from_slice(MARK);
        let checksum = crc32fast::hash(session);
        second.extend_from_slice(format!("{:08x}{checksum:08x}", session.len()).as_bytes());
        second.extend_from_slice(session);
        file.write_at(&second, ROOM)?;
        self.repair = Some(session.into());
        file.write_at(&self.first(session), 0)?;
        self.repair = None;
        self.size = match self.kind {
            Kind::Pickle => ROOM,
            Kind::Json => session.len(),
        };
        Ok(())
    }

    /// A session as the first copy: JSON, unlike a pickle, does not say where it ends.
    fn first<'a>(&self, session: &'a [u8]) -> Cow<'a, [u8]> {
        if self.kind == Kind::Pickle || session.len() >= self.size {
            return Cow::Borrowed(session);
        }
        let mut padded = session.to_vec();
        padded.resize(self.size, 0);
        Cow::Owned(padded)
    }
}

/// All bytes of a file, which is left open.
///
/// # Errors
/// What the operating system refused.
pub fn read(path: &std::path::Path) -> io::Result<(Vec<u8>, File)> {
    let mut file = File::open(path)?;
    // Room for both copies of a usual session; more is read if there is more.
    let mut bytes = Vec::with_capacity(2 * ROOM);
    file.read_to_end(&mut bytes)?;
    Ok((bytes, file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};

    /// A file in memory, whose writer is killed after so many bytes.
    struct Fragile {
        bytes: RefCell<Vec<u8>>,
        left: Cell<usize>,
    }

    impl Fragile {
        fn new(bytes: &[u8]) -> Self {
            Self {
                bytes: RefCell::new(bytes.to_vec()),
                left: Cell::new(usize::MAX),
            }
        }

        fn session(&self) -> Vec<u8> {
            parse(&self.bytes.borrow()).0.into_owned()
        }

        /// Saves as another process would, and is killed after `left` bytes.
        fn save(&self, session: &[u8], left: usize) -> bool {
            let mut layout = parse(&self.bytes.borrow()).1.unwrap();
            assert!(layout.takes(session));
            self.left.set(left);
            layout.write(self, session).is_ok()
        }
    }

    impl WriteAt for Fragile {
        fn write_at(&self, bytes: &[u8], offset: usize) -> io::Result<()> {
            let part = &bytes[..bytes.len().min(self.left.get())];
            let mut file = self.bytes.borrow_mut();
            if !part.is_empty() {
                let end = offset + part.len();
                if file.len() < end {
                    file.resize(end, 0);
                }
                file[offset..end].copy_from_slice(part);
            }
            self.left.set(self.left.get() - part.len());
            if part.len() < bytes.len() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            Ok(())
        }
    }

    /// A session of a kind, that tells its number and its length.
    fn session(kind: Kind, number: usize, length: usize) -> Vec<u8> {
        let filler = "x".repeat(length);
        match kind {
            Kind::Pickle => {
                let mut text = b"\x80\x02}q\x00(X\x07\x00\x00\x00_layoutq\x01K\x02X".to_vec();
                text.extend(format!("{number:08}{length:08}{filler}.").as_bytes());
                text
            }
            Kind::Json => format!("{{\"_layout\":2,{number:08}{length:08}{filler}}}").into_bytes(),
        }
    }

    /// The part of what was read that a reader of this kind takes.
    fn as_read(kind: Kind, read: Vec<u8>) -> Vec<u8> {
        if kind == Kind::Json {
            return read;
        }
        let end = read.iter().position(|byte| *byte == b'.').unwrap();
        read[..=end].to_vec()
    }

    fn killed_anywhere(kind: Kind) {
        let mut number = 0;
        let (mut kept, mut new) = (0, 0);
        for lengths in [[5, 60, 1], [60, 5, 60], [0, 0, 0], [200, 3, 4]] {
            let file = Fragile::new(&session(kind, number, lengths[0]));
            for first in 0..500 {
                for second in [usize::MAX, 0, 10, 24, 30, 60, 100, 140, 200] {
                    for (length, left) in [(lengths[1], first), (lengths[2], second)] {
                        let before = as_read(kind, file.session());
                        number += 1;
                        let after = session(kind, number, length);
                        let done = file.save(&after, left);
                        let found = as_read(kind, file.session());
                        assert!(
                            found == after || (!done && found == before),
                            "{kind:?} {lengths:?} {first} {second}: {}",
                            String::from_utf8_lossy(&found)
                        );
                        if found == after {
                            new += 1;
                        } else {
                            kept += 1;
                        }
                    }
                }
            }
        }
        assert!(kept > 1000 && new > 1000);
    }

    #[test]
    fn a_pickle_is_never_torn() {
        killed_anywhere(Kind::Pickle);
    }

    #[test]
    fn json_is_never_torn() {
        killed_anywhere(Kind::Json);
    }

    #[test]
    fn a_session_that_fills_its_room_is_never_torn() {
        for kind in [Kind::Pickle, Kind::Json] {
            let filler = ROOM - session(kind, 0, 0).len();
            let old = session(kind, 0, filler);
            let new = session(kind, 1, 9);
            let steps = 2 * new.len() + SECOND - ROOM;
            for left in 0..steps {
                let file = Fragile::new(&old);
                assert_eq!(old.len(), ROOM);
                assert!(!file.save(&new, left));
                let found = as_read(kind, file.session());
                assert!(found == old || found == new, "{kind:?} {left}");
            }
        }
    }

    #[test]
    fn other_readers_find_the_session() {
        for kind in [Kind::Pickle, Kind::Json] {
            let file = Fragile::new(&session(kind, 0, 5));
            for (number, length) in [(1, 9), (2, 3), (3, ROOM - 50), (4, 0)] {
                let text = session(kind, number, length);
                assert!(file.save(&text, usize::MAX));
                let bytes = file.bytes.borrow();
                assert!(bytes.starts_with(&text));
                if kind == Kind::Json {
                    assert!(bytes[text.len()..ROOM].iter().all(|byte| *byte == 0));
                }
            }
        }
    }

    #[test]
    fn plain_sessions_are_what_they_are() {
        let mut evil = vec![b'x'; ROOM];
        evil.extend(MARK);
        let second = session(Kind::Pickle, 1, 1);
        evil.extend(format!("{:08x}{:08x}", second.len(), crc32fast::hash(&second)).bytes());
        evil.extend(&second);
        for plain in [&b""[..], b"\x80\x02}q\x00.", b"{}", &evil] {
            let (session, layout) = parse(plain);
            assert_eq!(session, plain);
            assert!(layout.is_none());
        }
    }

    #[test]
    fn what_is_too_large_or_of_another_kind_is_not_taken() {
        let (_, layout) = parse(b"{\"_layout\":2,}");
        let layout = layout.unwrap();
        assert!(layout.takes(&session(Kind::Json, 1, 100)));
        assert!(!layout.takes(&session(Kind::Json, 1, ROOM)));
        assert!(!layout.takes(&session(Kind::Pickle, 1, 100)));
        assert!(!layout.takes(b"{}"));
    }

    #[test]
    fn broken_second_copies_do_not_count() {
        let file = Fragile::new(&session(Kind::Json, 0, 5));
        let text = session(Kind::Json, 1, 5);
        assert!(file.save(&text, usize::MAX));
        let good = file.bytes.borrow().clone();
        for at in ROOM..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 0x41;
            assert_eq!(parse(&bytes).0, text, "{at}");
            assert_eq!(parse(&good[..at]).0, text, "{at}");
        }
    }
}
