//! Any bytes are a form: the parsers never panic, and a body means the same in chunks of any size.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "the parsers are compiled on their own here")]
#[path = "../../../src/forms/mod.rs"]
mod forms;

use forms::multipart::{Kept, Parser, Part, Sink};
use forms::{urlencoded, Error, Limits};

/// Small enough for the fuzzer to reach them.
const LIMITS: Limits = Limits {
    fields: 20,
    field_size: 300,
    form_size: 1000,
    header_size: 200,
    nesting: 1,
};

#[derive(Default, PartialEq, Debug)]
struct Parts {
    parts: Vec<(Part, Vec<u8>)>,
    is_open: bool,
}

impl Sink for Parts {
    type Error = Error;

    fn begin(&mut self, part: Part) -> Result<Kept, Error> {
        assert!(!self.is_open, "a part begins inside another");
        self.is_open = true;
        let kept = match part.filename {
            Some(_) => Kept::Elsewhere,
            None => Kept::InMemory,
        };
        self.parts.push((part, Vec::new()));
        Ok(kept)
    }

    fn data(&mut self, piece: &[u8]) -> Result<(), Error> {
        assert!(self.is_open && !piece.is_empty());
        self.parts.last_mut().expect("data of a part").1.extend_from_slice(piece);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Error> {
        assert!(self.is_open, "a part ends twice");
        self.is_open = false;
        Ok(())
    }
}

fn parse(body: &[u8], size: usize) -> Result<Parts, Error> {
    let mut sink = Parts::default();
    let mut parser = Parser::new(b"multipart/form-data; boundary=B", LIMITS, 0)?;
    for chunk in body.chunks(size) {
        parser.feed(chunk, &mut sink)?;
    }
    parser.finish(&mut sink)?;
    assert!(!sink.is_open, "a part does not end");
    assert!(sink.parts.len() <= LIMITS.fields);
    Ok(sink)
}

fuzz_target!(|data: &[u8]| {
    let Some((&size, body)) = data.split_first() else {
        return;
    };
    assert_eq!(
        parse(body, body.len().max(1)),
        parse(body, usize::from(size) + 1),
        "chunks change the meaning"
    );

    let mut pairs = 0;
    let result = urlencoded::each_limited_pair(body, size & 1 == 1, LIMITS, 0, |name, value| {
        assert!(name.len() + value.len() <= body.len());
        pairs += 1;
        Ok::<(), Error>(())
    });
    assert!(pairs <= LIMITS.fields);
    assert!(body.len() <= LIMITS.form_size || result.is_err());
});
