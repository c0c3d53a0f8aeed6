//! The boundary lines that separate the parts of a multipart body, and the search for them.

use memchr::memmem::Finder;

use super::Error;

/// Blanks a boundary line may end with (RFC 2046 allows any number of them).
pub const MAX_PADDING: usize = 64;

/// How the bytes at the start of a line relate to the boundaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    No,
    /// More bytes are needed to tell.
    Perhaps,
    Yes(Line),
}

/// A boundary line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// Its length, the line end included.
    pub length: usize,
    /// Whose boundary it is: 0 is the body's own.
    pub level: usize,
    /// It is the last of its level.
    pub last: bool,
}

/// What [`Boundaries::find`] saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Bytes before the boundary line, without the line break that belongs to it. When there is no
    /// boundary line, the bytes that cannot become part of one.
    pub before: usize,
    /// Where the boundary line starts, and the line.
    pub line: Option<(usize, Line)>,
}

/// The boundaries in force, outermost first.
#[derive(Debug, Default)]
pub struct Boundaries {
    levels: Vec<Boundary>,
}

#[derive(Debug)]
struct Boundary {
    /// `--boundary`
    dashed: Vec<u8>,
    /// Searches for LF and `dashed`.
    finder: Finder<'static>,
}

impl Boundaries {
    /// How many levels are open.
    pub fn depth(&self) -> usize {
        self.levels.len()
    }

    /// Opens a level.
    pub fn push(&mut self, boundary: &[u8]) -> Result<(), Error> {
        if boundary.is_empty() || boundary.contains(&b'\n') || boundary.len() > 1024 {
            return Err(Error::BadBoundary);
        }
        let line = [b"\n--", boundary].concat();
        self.levels.push(Boundary {
            dashed: line[1..].to_vec(),
            finder: Finder::new(&line).into_owned(),
        });
        Ok(())
    }

    /// Closes all levels but the outermost `depth`.
    pub fn truncate(&mut self, depth: usize) {
        self.levels.truncate(depth);
    }

    /// Looks for the next boundary line in `data`, of which more follows unless `eof`.
    ///
    /// `line_start` says that `data` starts a line; it is cleared when that has been looked at.
    pub fn find(&self, data: &[u8], line_start: &mut bool, eof: bool) -> Found {
        let found = |before, start, line| Found {
            before,
            line: Some((start, line)),
        };
        let undecided = |before| Found { before, line: None };

        if *line_start {
            match self.at(data, eof) {
                Match::No => *line_start = false,
                Match::Perhaps => return undecided(0),
                Match::Yes(line) => return found(0, 0, line),
            }
        }
        let mut from = 0;
        while let Some(at) = self.candidate(&data[from..]).map(|at| from + at) {
            let before = match data[..at].last() {
                Some(b'\r') => at - 1,
                _ => at,
            };
            match self.at(&data[at + 1..], eof) {
                Match::No => from = at + 1,
                Match::Perhaps => return undecided(before),
                Match::Yes(line) => return found(before, at + 1, line),
            }
        }
        undecided(if eof {
            data.len()
        } else {
            self.safe_length(data)
        })
    }

    /// Whether `data`, which starts a line, starts with a boundary line; innermost boundary first.
    pub fn at(&self, data: &[u8], eof: bool) -> Match {
        let mut result = Match::No;
        for (level, boundary) in self.levels.iter().enumerate().rev() {
            match boundary.at(data, eof) {
                Match::No => {}
                Match::Perhaps => result = Match::Perhaps,
                Match::Yes(line) => return Match::Yes(Line { level, ..line }),
            }
        }
        result
    }

    /// Where the next LF is that a boundary follows, if only by its first bytes.
    fn candidate(&self, data: &[u8]) -> Option<usize> {
        let mut best = None;
        let mut window = data;
        for boundary in self.levels.iter().rev() {
            if let Some(at) = boundary.finder.find(window) {
                best = Some(at);
                // An outer boundary matters only where it comes earlier.
                window = &data[..at];
            }
        }
        best
    }

    /// How much of `data` cannot belong to a boundary line whose end has yet to arrive.
    fn safe_length(&self, data: &[u8]) -> usize {
        let longest = self.levels.iter().map(|it| it.dashed.len()).max();
        let window = data.len().saturating_sub(longest.unwrap_or(0) + 2);
        memchr::memchr2_iter(b'\r', b'\n', &data[window..])
            .map(|at| window + at)
            .find(|&at| {
                let tail = &data[at..];
                let tail = tail.strip_prefix(b"\r").unwrap_or(tail);
                match tail.strip_prefix(b"\n") {
                    Some(tail) => self.levels.iter().any(|it| it.dashed.starts_with(tail)),
                    None => tail.is_empty(),
                }
            })
            .unwrap_or(data.len())
    }
}

impl Boundary {
    fn at(&self, data: &[u8], eof: bool) -> Match {
        let Some(mut rest) = data.strip_prefix(self.dashed.as_slice()) else {
            return match !eof && self.dashed.starts_with(data) {
                true => Match::Perhaps,
                false => Match::No,
            };
        };
        let mut last = false;
        if let Some(after) = rest.strip_prefix(b"--") {
            last = true;
            rest = after;
        } else if rest == b"-" && !eof {
            return Match::Perhaps;
        }
        let blanks = rest
            .iter()
            .take_while(|&&byte| matches!(byte, b' ' | b'\t'))
            .count();
        if blanks > MAX_PADDING {
            return Match::No;
        }
        let line_end = match &rest[blanks..] {
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            [] | [b'\r'] if !eof => return Match::Perhaps,
            [] => 0,
            _ => return Match::No,
        };
        Match::Yes(Line {
            length: data.len() - rest.len() + blanks + line_end,
            level: 0,
            last,
        })
    }
}
