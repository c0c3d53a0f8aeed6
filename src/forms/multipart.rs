//! A push parser for `multipart/form-data` bodies: chunks of any size in, parts out, in constant memory.
//!
//! The grammar is RFC 2046 section 5.1 with the liberties browsers and old clients take: a line may end in
//! a bare LF, the last boundary needs no line end, and a body that stops early ends its last part.

use super::boundary::{Boundaries, Line, Match};
use super::header::Value;
use super::{excerpt, Error, Limits};

/// What the headers of a part say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// All headers in order, names as sent, values without surrounding blanks and on one line.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The name parameter of Content-Disposition; inside a nested multipart that of the enclosing part.
    pub name: Option<Vec<u8>>,
    /// The filename parameter of Content-Disposition, present but empty when no file was chosen.
    pub filename: Option<Vec<u8>>,
    /// Content-Disposition taken apart.
    pub disposition: Option<Value>,
    /// Content-Type taken apart.
    pub content_type: Option<Value>,
}

/// Where the content of a part is kept, which decides what limits it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    InMemory,
    Elsewhere,
}

/// Where the parts go.
pub trait Sink {
    type Error: From<Error>;
    /// A part begins.
    fn begin(&mut self, part: Part) -> Result<Kept, Self::Error>;
    /// The next piece of the part's content, borrowed from the chunk being fed wherever possible.
    fn data(&mut self, piece: &[u8]) -> Result<(), Self::Error>;
    /// The part is complete.
    fn end(&mut self) -> Result<(), Self::Error>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first boundary, or after the last one of a nested multipart.
    Preamble,
    Headers,
    Content,
    /// After the last boundary: nothing of what follows counts.
    Epilogue,
}

/// The parser; see [`Parser::feed`].
#[derive(Debug)]
pub struct Parser {
    limits: Limits,
    boundaries: Boundaries,
    /// Per boundary, what parts without a name of their own are called.
    names: Vec<Option<Vec<u8>>>,
    state: State,
    /// The next byte starts a line.
    line_start: bool,
    /// Bytes that cannot be judged yet: less than a boundary line or a block of headers.
    held: Vec<u8>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    header_size: usize,
    /// Fields so far, those known before this body included.
    fields: usize,
    /// Bytes in memory for all parts so far, and for the present one if it is kept there.
    form_size: usize,
    field_size: Option<usize>,
    field_name: Vec<u8>,
}

impl Parser {
    /// A parser for a body whose Content-Type is `content_type`; the form has `fields` fields already.
    pub fn new(content_type: &[u8], limits: Limits, fields: usize) -> Result<Parser, Error> {
        let content_type = Value::parse(content_type);
        let boundary = content_type.get(b"boundary").ok_or(Error::BadBoundary)?;
        let mut parser = Parser {
            limits,
            boundaries: Boundaries::default(),
            names: Vec::new(),
            state: State::Preamble,
            line_start: true,
            held: Vec::new(),
            headers: Vec::new(),
            header_size: 0,
            fields,
            form_size: 0,
            field_size: None,
            field_name: Vec::new(),
        };
        parser.descend(boundary, None)?;
        Ok(parser)
    }

    /// Parses the next chunk of the body.
    pub fn feed<S: Sink>(&mut self, chunk: &[u8], sink: &mut S) -> Result<(), S::Error> {
        self.advance(chunk, false, sink)
    }

    /// Parses what is left when the body has ended.
    pub fn finish<S: Sink>(&mut self, sink: &mut S) -> Result<(), S::Error> {
        self.advance(b"", true, sink)?;
        if self.state == State::Content {
            sink.end()?;
        }
        self.state = State::Epilogue;
        Ok(())
    }

    fn advance<S: Sink>(&mut self, chunk: &[u8], eof: bool, sink: &mut S) -> Result<(), S::Error> {
        if self.held.is_empty() {
            let used = self.consume(chunk, eof, sink)?;
            self.held.extend_from_slice(&chunk[used..]);
        } else {
            let mut joined = std::mem::take(&mut self.held);
            joined.extend_from_slice(chunk);
            let used = self.consume(&joined, eof, sink)?;
            joined.drain(..used);
            self.held = joined;
        }
        Ok(())
    }

    /// Works through `data` and says how much of it is dealt with.
    fn consume<S: Sink>(
        &mut self,
        data: &[u8],
        eof: bool,
        sink: &mut S,
    ) -> Result<usize, S::Error> {
        let mut used = 0;
        while used < data.len() {
            let rest = &data[used..];
            let before = self.state;
            let step = match self.state {
                State::Preamble => self.preamble(rest, eof),
                State::Headers => self.header_line(rest, eof, sink)?,
                State::Content => self.content(rest, eof, sink)?,
                State::Epilogue => rest.len(),
            };
            if step == 0 && self.state == before {
                break;
            }
            used += step;
        }
        Ok(used)
    }

    fn preamble(&mut self, data: &[u8], eof: bool) -> usize {
        let found = self.boundaries.find(data, &mut self.line_start, eof);
        match found.line {
            Some((start, line)) => {
                self.pass(line);
                start + line.length
            }
            None => found.before,
        }
    }

    fn content<S: Sink>(
        &mut self,
        data: &[u8],
        eof: bool,
        sink: &mut S,
    ) -> Result<usize, S::Error> {
        let found = self.boundaries.find(data, &mut self.line_start, eof);
        if found.before > 0 {
            self.count(found.before)?;
            sink.data(&data[..found.before])?;
        }
        match found.line {
            Some((start, line)) => {
                sink.end()?;
                self.pass(line);
                Ok(start + line.length)
            }
            None => Ok(found.before),
        }
    }

    fn header_line<S: Sink>(
        &mut self,
        data: &[u8],
        eof: bool,
        sink: &mut S,
    ) -> Result<usize, S::Error> {
        match self.boundaries.at(data, eof) {
            Match::No => {}
            Match::Perhaps => return Ok(0),
            Match::Yes(line) => {
                // Headers that run into a boundary announce nothing: the part is dropped.
                self.pass(line);
                return Ok(line.length);
            }
        }
        let line_end = memchr::memchr(b'\n', data);
        if self.header_size + line_end.unwrap_or(data.len()) > self.limits.header_size {
            return Err(Error::HeadersTooLarge(self.limits.header_size).into());
        }
        let Some(line_end) = line_end else {
            return Ok(if eof { data.len() } else { 0 });
        };
        self.header_size += line_end + 1;
        let line = &data[..line_end];
        match line.strip_suffix(b"\r").unwrap_or(line) {
            b"" => self.begin(sink)?,
            line => self.header(line)?,
        }
        Ok(line_end + 1)
    }

    fn header(&mut self, line: &[u8]) -> Result<(), Error> {
        if matches!(line[0], b' ' | b'\t') {
            if let Some((_, value)) = self.headers.last_mut() {
                value.push(b' ');
                value.extend_from_slice(line.trim_ascii());
                return Ok(());
            }
        }
        let Some(colon) = memchr::memchr(b':', line) else {
            return Err(Error::BadHeader(excerpt(line)));
        };
        let name = line[..colon].trim_ascii().to_vec();
        let value = line[colon + 1..].trim_ascii().to_vec();
        self.headers.push((name, value));
        Ok(())
    }

    /// The headers are complete: a field begins, or a nested multipart opens.
    fn begin<S: Sink>(&mut self, sink: &mut S) -> Result<(), S::Error> {
        let headers = std::mem::take(&mut self.headers);
        let last = |wanted: &[u8]| {
            headers
                .iter()
                .rev()
                .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
                .map(|(_, value)| Value::parse(value))
        };
        let disposition = last(b"content-disposition");
        let content_type = last(b"content-type");
        let parameter = |name: &[u8]| disposition.as_ref().and_then(|it| it.get_extended(name));
        let name = parameter(b"name").or_else(|| self.names.last().cloned().flatten());
        let filename = parameter(b"filename");

        self.line_start = true;
        if self.limits.nesting > 0 {
            let nested = content_type
                .as_ref()
                .filter(|value| value.first.starts_with(b"multipart/"))
                .and_then(|value| value.get(b"boundary"));
            if let Some(boundary) = nested {
                self.state = State::Preamble;
                return Ok(self.descend(boundary, name)?);
            }
        }
        self.fields += 1;
        if self.fields > self.limits.fields {
            return Err(Error::TooManyFields(self.limits.fields).into());
        }
        self.state = State::Content;
        self.field_size = None;
        self.field_name = name.clone().unwrap_or_default();
        self.count_memory(self.header_size)?;
        let kept = sink.begin(Part {
            headers,
            name,
            filename,
            disposition,
            content_type,
        })?;
        self.field_size = (kept == Kept::InMemory).then_some(0);
        Ok(())
    }

    /// Counts content of the present part.
    fn count(&mut self, size: usize) -> Result<(), Error> {
        let Some(field_size) = &mut self.field_size else {
            return Ok(());
        };
        // However the content is cut into chunks, the limit that it meets first is the one that is told.
        let field_room = self.limits.field_size - *field_size;
        if size > field_room && field_room <= self.limits.form_size - self.form_size {
            return Err(Error::FieldTooLarge {
                name: excerpt(&self.field_name),
                limit: self.limits.field_size,
            });
        }
        *field_size += size;
        self.count_memory(size)
    }

    /// Counts what the form keeps in memory.
    fn count_memory(&mut self, size: usize) -> Result<(), Error> {
        self.form_size += size;
        if self.form_size > self.limits.form_size {
            return Err(Error::FormTooLarge(self.limits.form_size));
        }
        Ok(())
    }

    /// Opens a level of nesting.
    fn descend(&mut self, boundary: &[u8], name: Option<Vec<u8>>) -> Result<(), Error> {
        if self.boundaries.depth() > self.limits.nesting {
            return Err(Error::NestedTooDeep(self.limits.nesting));
        }
        self.boundaries.push(boundary)?;
        self.names.push(name);
        Ok(())
    }

    /// Goes past a boundary line.
    fn pass(&mut self, line: Line) {
        let inner_closed = line.last && line.level > 0;
        let depth = line.level + usize::from(!inner_closed);
        self.boundaries.truncate(depth);
        self.names.truncate(depth);
        self.headers.clear();
        self.header_size = 0;
        self.line_start = true;
        self.state = match line.last {
            false => State::Headers,
            true if inner_closed => State::Preamble,
            true => State::Epilogue,
        };
    }
}

#[cfg(test)]
mod tests;
