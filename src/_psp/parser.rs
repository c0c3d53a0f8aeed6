//! Translates a page into a Python program: mod_python's PSP scanner, state for state.
//!
//! Pages lean on its oddities (an indentation outlives its block, a colon at the end of a block
//! indents what follows), so the states and what each emits are the original's to the byte. What is
//! new: it is known where each part of the program came from and where a page breaks off in the middle
//! of a tag, absolute includes work, and a file that includes itself is an error.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::directive::{self, Escape};
use super::page::{chain, Error, Page, Place, Segment, Source, Tag};

/// A file as the loader hands it over.
pub struct Loaded {
    pub text: String,
    /// What its own `page` directive says.
    pub escape: Option<Escape>,
}

/// Where the names of included files are looked for.
pub struct Settings<'a> {
    /// Put before a relative name as it is, so a directory ends in a slash. `None`: names are used as
    /// they are, which for a page without a file leaves absolute ones only.
    pub dir: Option<&'a OsStr>,
    /// Whether the page is a file, so that a name relative to the process's directory makes sense.
    pub is_file: bool,
    /// For files that do not say.
    pub escape: Escape,
}

/// Translates `page`, known as `path`; `load` is asked for each file it includes.
///
/// # Errors
/// Those of `load`, and the page's own: an include that goes round in a circle, or that is relative to
/// a page that is no file.
pub fn parse<E>(
    path: PathBuf,
    page: Loaded,
    settings: &Settings<'_>,
    load: &mut dyn FnMut(&Path) -> Result<Loaded, Error<E>>,
) -> Result<Page, Error<E>> {
    let mut parser = Parser::new(settings);
    if page.text.is_empty() {
        parser.page.files.push(path);
        return Ok(parser.page);
    }
    parser.open(path, page, settings.escape);
    parser.emit("req.write(\"\"\"");
    parser.run(load)?;
    Ok(parser.page)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Text,
    Code,
    /// After a line end in code. `after_lf`: the blanks that follow are looked at only then, since for
    /// the original's scanner a lone CR starts no line.
    Indent {
        after_lf: bool,
    },
    Directive,
    Comment,
}

/// A file being read, and how far.
struct Input {
    source: Source,
    file: usize,
    escape: Escape,
    at: usize,
    line: usize,
    /// Where its last tag was opened.
    opened_at: usize,
}

impl Input {
    fn rest(&self) -> &str {
        &self.source.text[self.at..]
    }

    /// Goes on by `bytes`, counting lines; CRLF is one.
    fn skip(&mut self, bytes: usize) {
        for _ in 0..bytes {
            let rest = &self.source.text.as_bytes()[self.at..];
            if rest[0] == b'\n' || rest[0] == b'\r' && rest.get(1) != Some(&b'\n') {
                self.line += 1;
            }
            self.at += 1;
        }
    }

    fn place(&self, at: usize) -> Place {
        Place::at(&self.source, at)
    }
}

struct Parser<'a> {
    settings: &'a Settings<'a>,
    page: Page,
    inputs: Vec<Input>,
    state: State,
    is_expression: bool,
    after_colon: bool,
    newline_seen: bool,
    /// The blanks the last line of code began with, as far as the original remembers them.
    indent: String,
    program_line: usize,
    program_line_start: usize,
}

impl<'a> Parser<'a> {
    fn new(settings: &'a Settings<'a>) -> Self {
        Parser {
            settings,
            page: Page {
                program: String::new(),
                files: Vec::new(),
                segments: Vec::new(),
                tags: Vec::new(),
                cut: None,
            },
            inputs: Vec::new(),
            state: State::Text,
            is_expression: false,
            after_colon: false,
            newline_seen: false,
            indent: String::new(),
            program_line: 1,
            program_line_start: 0,
        }
    }

    fn run<E>(
        &mut self,
        load: &mut dyn FnMut(&Path) -> Result<Loaded, Error<E>>,
    ) -> Result<(), Error<E>> {
        loop {
            let at_end = self.input().rest().is_empty();
            match self.state {
                State::Text if at_end && self.inputs.len() > 1 => {
                    self.inputs.pop();
                    self.state = State::Directive;
                }
                State::Text if at_end => {
                    self.emit("\"\"\",0)\n");
                    return Ok(());
                }
                _ if at_end => {
                    let why = match self.state {
                        State::Comment => "comment <%-- is never closed by --%>",
                        State::Directive => "directive <%@ is never closed by %>",
                        _ => "tag is never closed by %>",
                    };
                    self.cut(self.input().opened_at, why);
                    return Ok(());
                }
                State::Text | State::Code | State::Indent { .. } if self.at_nul() => {
                    self.cut(self.input().at, "NUL character ends the program");
                    return Ok(());
                }
                State::Text => self.text(),
                State::Code => self.code(),
                State::Indent { after_lf } => self.indentation(after_lf),
                State::Directive => self.directive(load)?,
                State::Comment => self.comment(),
            }
        }
    }

    /// One token of text that is copied to the reply: up to the next character that means something.
    fn text(&mut self) {
        let rest = self.input().rest();
        let special = |byte| matches!(byte, b'"' | b'\\' | b'\r' | b'\n' | b'<' | 0);
        let plain = rest.bytes().position(special).unwrap_or(rest.len());
        if plain > 0 {
            self.copy(plain);
            return;
        }
        match rest.as_bytes() {
            [b'"', ..] => self.replace(1, "\\\""),
            [b'\\', letter @ (b'n' | b'r' | b't'), ..] => {
                let doubled = match letter {
                    b'n' => "\\\\n",
                    b'r' => "\\\\r",
                    _ => "\\\\t",
                };
                self.replace(2, doubled);
            }
            [b'\r', b'\n', ..] => self.replace(2, "\n"),
            [b'<', b'%', b'-', b'-', ..] => self.enter(State::Comment, 4),
            [b'<', b'%', b'@', ..] => self.enter(State::Directive, 3),
            [b'<', b'%', b'=', ..] => {
                self.is_expression = true;
                self.emit(match self.input().escape {
                    Escape::Off => "\"\"\",0); req.write(str(",
                    Escape::Html => "\"\"\",0); req.write(__psp_escape__(",
                });
                self.tag(3);
            }
            [b'<', b'%', ..] => {
                self.is_expression = false;
                self.newline_seen = false;
                self.indent.clear();
                self.emit("\"\"\",0);");
                self.tag(2);
            }
            _ => self.copy(1),
        }
    }

    /// One token of code.
    fn code(&mut self) {
        match self.input().rest().as_bytes() {
            [b'\r', b'\n', ..] => self.code_line_end(2, true),
            [b'\n', ..] => self.code_line_end(1, true),
            [b'\r', ..] => self.code_line_end(1, false),
            [b'%', b'>', ..] => self.close_tag(),
            [b':', ..] => {
                self.after_colon = true;
                self.copy(1);
            }
            rest => {
                let special = |byte: &u8| matches!(byte, b'\r' | b'\n' | b':' | b'%' | 0);
                let plain = rest.iter().skip(1).position(special);
                self.copy(plain.map_or(rest.len(), |more| more + 1));
                self.after_colon = false;
            }
        }
    }

    fn code_line_end(&mut self, bytes: usize, after_lf: bool) {
        self.newline_seen = true;
        self.replace(bytes, "\n");
        self.state = State::Indent { after_lf };
    }

    fn close_tag(&mut self) {
        if self.is_expression {
            self.replace(2, "),0); req.write(\"\"\"");
        } else {
            let mut text = String::new();
            if !self.newline_seen {
                text.push(';');
            }
            if std::mem::take(&mut self.after_colon) {
                self.indent.push('\t');
            }
            text.push_str(&self.indent);
            text.push_str("req.write(\"\"\"");
            self.replace(2, &text);
        }
        self.state = State::Text;
    }

    /// The start of a line of code: remembers its blanks.
    fn indentation(&mut self, after_lf: bool) {
        self.state = State::Code;
        let rest = self.input().rest();
        if rest.starts_with("%>") {
            return;
        }
        let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        let blanks = if after_lf { blanks } else { 0 };
        self.indent = rest[..blanks].to_owned();
        if blanks > 0 {
            self.copy(blanks);
        }
    }

    /// One token of a directive: an include, its end, or a character that is dropped.
    fn directive<E>(
        &mut self,
        load: &mut dyn FnMut(&Path) -> Result<Loaded, Error<E>>,
    ) -> Result<(), Error<E>> {
        let rest = self.input().rest();
        if rest.starts_with("%>") {
            self.input_mut().skip(2);
            self.state = State::Text;
        } else if let Some((name, bytes)) = directive::include(rest) {
            let path = self.resolve(name)?;
            self.check_circle(&path)?;
            let included = load(&path).map_err(|error| match error {
                Error::Load { path, source, .. } => Error::Load {
                    path,
                    included_at: Some(Box::new(self.input().place(self.input().at))),
                    source,
                },
                other => other,
            })?;
            self.input_mut().skip(bytes);
            let escape = self.input().escape;
            self.open(path, included, escape);
            self.state = State::Text;
        } else {
            let next = rest.chars().next().map_or(1, char::len_utf8);
            self.input_mut().skip(next);
        }
        Ok(())
    }

    /// The file that `name` in an include stands for.
    fn resolve<E>(&self, name: &str) -> Result<PathBuf, Error<E>> {
        match self.settings.dir {
            _ if name.starts_with('/') => Ok(PathBuf::from(name)),
            Some(dir) => {
                let mut path = dir.to_os_string();
                path.push(name);
                Ok(path.into())
            }
            None if self.settings.is_file => Ok(PathBuf::from(name)),
            None => Err(Error::syntax(
                self.input().place(self.input().at),
                format!("include of \"{name}\": a page given as a string can include absolute names only"),
            )),
        }
    }

    fn check_circle<E>(&self, path: &Path) -> Result<(), Error<E>> {
        let Some(first) = self
            .inputs
            .iter()
            .position(|input| input.source.path == path)
        else {
            return Ok(());
        };
        let circle = self.inputs[first..]
            .iter()
            .map(|input| input.source.path.as_path());
        Err(Error::syntax(
            self.input().place(self.input().at),
            format!("page includes itself: {}", chain(circle.chain([path]))),
        ))
    }

    fn open(&mut self, path: PathBuf, loaded: Loaded, escape: Escape) {
        let known = self.page.files.iter().position(|file| *file == path);
        let file = known.unwrap_or(self.page.files.len());
        if known.is_none() {
            self.page.files.push(path.clone());
        }
        self.inputs.push(Input {
            source: Source {
                path,
                text: loaded.text,
            },
            file,
            escape: loaded.escape.unwrap_or(escape),
            at: 0,
            line: 1,
            opened_at: 0,
        });
    }

    fn input(&self) -> &Input {
        self.inputs
            .last()
            .expect("bug in the PSP parser: the page itself is never popped")
    }

    fn input_mut(&mut self) -> &mut Input {
        self.inputs
            .last_mut()
            .expect("bug in the PSP parser: the page itself is never popped")
    }

    /// Drops what stands before the comment's end, and that.
    fn comment(&mut self) {
        let rest = self.input().rest();
        let end = rest.find("--%>");
        let bytes = end.map_or(rest.len(), |end| end + 4);
        self.input_mut().skip(bytes);
        if end.is_some() {
            self.state = State::Text;
        }
    }

    /// The original hands its program over as a C string, so an emitted NUL is where it ends.
    fn at_nul(&self) -> bool {
        self.input().rest().starts_with('\0')
    }

    fn enter(&mut self, state: State, bytes: usize) {
        let input = self.input_mut();
        input.opened_at = input.at;
        input.skip(bytes);
        self.state = state;
    }

    /// Enters the code of a tag whose opening has been emitted.
    fn tag(&mut self, bytes: usize) {
        let line = self.input().rest().lines().next().unwrap_or_default();
        let mut excerpt: String = line.chars().take(60).collect();
        if let Some(end) = line.find("%>").filter(|&end| end + 2 <= excerpt.len()) {
            excerpt.truncate(end + 2);
        } else if excerpt.len() < line.len() {
            excerpt.push_str("...");
        }
        let code = &self.input().source.text[..self.input().at + bytes];
        let column = code.len() - code.rfind(['\n', '\r']).map_or(0, |end| end + 1);
        self.page.tags.push(Tag {
            program_line: self.program_line,
            program_column: self.page.program.len() - self.program_line_start,
            line: self.input().line,
            column,
            excerpt,
        });
        self.enter(State::Code, bytes);
    }

    fn cut(&mut self, at: usize, why: &str) {
        self.page.cut = Some((self.input().place(at), why.to_owned()));
    }

    /// Emits the next `bytes` of the page as they are.
    fn copy(&mut self, bytes: usize) {
        let text = self.input().rest()[..bytes].to_owned();
        self.replace(bytes, &text);
    }

    /// Emits `text` for the next `bytes` of the page.
    fn replace(&mut self, bytes: usize, text: &str) {
        self.emit(text);
        self.input_mut().skip(bytes);
    }

    /// Adds to the program what the current spot of the page has become.
    fn emit(&mut self, text: &str) {
        let (file, line) = (self.input().file, self.input().line);
        let in_step = self.page.segments.last().is_some_and(|last| {
            last.file == file && last.line + self.program_line - last.program_line == line
        });
        if !in_step {
            self.page.segments.push(Segment {
                program_line: self.program_line,
                program_column: self.page.program.len() - self.program_line_start,
                file,
                line,
            });
        }
        let mut last = self.page.program.as_bytes().last().copied();
        for (at, byte) in text.bytes().enumerate() {
            if byte == b'\r' || byte == b'\n' && last != Some(b'\r') {
                self.program_line += 1;
            }
            if byte == b'\r' || byte == b'\n' {
                self.program_line_start = self.page.program.len() + at + 1;
            }
            last = Some(byte);
        }
        self.page.program.push_str(text);
    }
}
