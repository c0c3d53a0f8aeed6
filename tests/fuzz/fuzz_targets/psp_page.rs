//! Any text is a page: the PSP parser never panics, and what it says about the program holds.
//!
//! The input is several files, separated by a byte that pages do not have; they include each other
//! as "0", "1", ... The program itself is judged by Python, in tests/test_psp_errors.py.

#![no_main]

use std::path::{Path, PathBuf};

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "the parser is compiled on its own here")]
#[path = "../../../src/_psp"]
mod psp {
    pub mod directive;
    pub mod escape;
    pub mod page;
    pub mod parser;
}

use psp::directive::{self, Escape};
use psp::page::{Error, Page};
use psp::parser::{parse, Loaded, Settings};

/// No page in a test is larger; circles are errors, but a file may be included often.
const LIMIT: usize = 1 << 16;

fuzz_target!(|data: &[u8]| {
    let files: Vec<&str> = match data.split(|&byte| byte == 0xff).map(std::str::from_utf8).collect() {
        Ok(files) => files,
        Err(_) => return,
    };
    let load = |text: &str| {
        let attributes = directive::attributes(text.as_bytes());
        let escape = attributes.ok().and_then(|found| found.escape);
        Loaded { text: text.to_owned(), escape }
    };
    let mut loaded = 0;
    let settings = Settings { dir: None, is_file: true, escape: Escape::Off };
    let result = parse(PathBuf::from("0"), load(files[0]), &settings, &mut |path: &Path| {
        let number = path.to_str().and_then(|name| name.parse::<usize>().ok());
        let file = number.and_then(|number| files.get(number)).copied().unwrap_or("");
        loaded += file.len();
        if number.is_none() || loaded > LIMIT {
            return Err(Error::Load { path: path.to_owned(), included_at: None, source: () });
        }
        Ok(load(file))
    });
    match result {
        Ok(page) => check(&page, &files),
        Err(Error::Syntax { place, .. }) => check_place(&place.path, place.line, &files),
        Err(Error::Load { included_at, .. }) => {
            let place = included_at.expect("only an include can fail to load");
            check_place(&place.path, place.line, &files);
        }
    }
});

fn lines(text: &str) -> usize {
    text.replace("\r\n", "\n").replace('\r', "\n").matches('\n').count() + 1
}

fn check_place(path: &Path, line: usize, files: &[&str]) {
    let number: usize = path.to_str().and_then(|name| name.parse().ok()).expect("a name of ours");
    assert!((1..=lines(files[number])).contains(&line), "{}: no line {line}", path.display());
}

fn check(page: &Page, files: &[&str]) {
    let program: Vec<String> = page
        .program
        .replace("\r\n", "\n")
        .replace('\r', "\n")
        .split('\n')
        .map(str::to_owned)
        .collect();
    let mut last = (0, 0);
    for segment in &page.segments {
        let spot = (segment.program_line, segment.program_column);
        assert!(last <= spot, "places are in order");
        assert!(segment.program_line <= program.len());
        check_place(&page.files[segment.file], segment.line, files);
        last = spot;
    }
    for tag in &page.tags {
        let line = &program[tag.program_line - 1];
        assert!(tag.program_column <= line.len(), "a tag's code is in its line");
        assert!(tag.excerpt.starts_with("<%"));
    }
    if let Some((place, _)) = &page.cut {
        check_place(&place.path, place.line, files);
    } else if !page.program.is_empty() {
        assert!(page.program.starts_with("req.write(\"\"\"") && page.program.ends_with("\"\"\",0)\n"));
    }
}
