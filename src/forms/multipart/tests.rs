//! What the multipart parser makes of bodies, whole and in chunks of every size.

use super::super::boundary::MAX_PADDING;
use super::*;

#[derive(Default)]
struct Collect {
    parts: Vec<(Part, Vec<u8>, bool)>,
}

impl Sink for Collect {
    type Error = Error;
    fn begin(&mut self, part: Part) -> Result<Kept, Error> {
        let kept = match part.filename {
            Some(_) => Kept::Elsewhere,
            None => Kept::InMemory,
        };
        self.parts.push((part, Vec::new(), false));
        Ok(kept)
    }
    fn data(&mut self, piece: &[u8]) -> Result<(), Error> {
        assert!(!piece.is_empty());
        self.parts.last_mut().unwrap().1.extend_from_slice(piece);
        Ok(())
    }
    fn end(&mut self) -> Result<(), Error> {
        self.parts.last_mut().unwrap().2 = true;
        Ok(())
    }
}

fn parse_in(body: &[u8], chunk: usize, limits: Limits) -> Result<Collect, Error> {
    let mut sink = Collect::default();
    let mut parser = Parser::new(b"multipart/form-data; boundary=B", limits, 0)?;
    for piece in body.chunks(chunk) {
        parser.feed(piece, &mut sink)?;
    }
    parser.finish(&mut sink)?;
    assert!(sink.parts.iter().all(|part| part.2));
    Ok(sink)
}

/// Parses with every chunk size, which must all agree, and gives (name, content) pairs.
fn parse_with(body: &[u8], limits: Limits) -> Result<Vec<(String, String)>, Error> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let whole = parse_in(body, body.len().max(1), limits);
    for chunk in 1..body.len() {
        let split = parse_in(body, chunk, limits);
        match (&whole, &split) {
            (Ok(whole), Ok(split)) => assert_eq!(whole.parts, split.parts, "chunks of {chunk}"),
            (Err(whole), Err(split)) => assert_eq!(whole, split),
            _ => panic!("chunks of {chunk} disagree"),
        }
    }
    Ok(whole?
        .parts
        .iter()
        .map(|(part, content, _)| (text(part.name.as_deref().unwrap_or(b"?")), text(content)))
        .collect())
}

fn parse(body: &str) -> Vec<(String, String)> {
    parse_with(body.as_bytes(), Limits::default()).unwrap()
}

fn refused(body: &str, limits: Limits) -> Error {
    parse_with(body.as_bytes(), limits).unwrap_err()
}

fn owned(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect()
}

const A: &str = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n";

#[test]
fn two_fields() {
    let body = format!("{A}one\r\n{}two\r\n--B--\r\n", A.replace("\"a\"", "b"));
    assert_eq!(parse(&body), owned(&[("a", "one"), ("b", "two")]));
}

#[test]
fn content_like_a_boundary() {
    for content in [
        "",
        "\r",
        "\n",
        "\r\n",
        "\r\r\n",
        "x\r",
        "--B",
        "-",
        "--",
        "\r\n--",
        "\r\n--C\r\n",
        "x--B\r\n",
        "\r\n--Bx\r\n",
        "\r\n--B-\r\n",
        "\r\n --B\r\n",
        "\r\n--B--x\r\n",
        "\n\n",
        "\r\n\r\n",
        "\r\n--B\r",
        "\r\n-\r\n--\r\n--\r",
    ] {
        if content == "--B" {
            continue; // at the start of the content it is one
        }
        let body = format!("{A}{content}\r\n--B--\r\n");
        assert_eq!(parse(&body), owned(&[("a", content)]), "{content:?}");
    }
}

#[test]
fn line_ends_and_padding() {
    assert_eq!(parse(&A.replace('\r', "")), owned(&[("a", "")]));
    let body = format!("{A}v\r\n--B--\r\n").replace('\r', "");
    assert_eq!(parse(&body), owned(&[("a", "v")]));
    assert_eq!(parse(&format!("{A}v\r\n--B--")), owned(&[("a", "v")]));
    assert_eq!(
        parse(&format!("{A}v\r\n--B-- \t\r\nx")),
        owned(&[("a", "v")])
    );
    let padded = format!("{A}v\r\n--B{}\r\n", " ".repeat(MAX_PADDING + 1));
    assert_eq!(parse(&padded).len(), 1);
    assert!(parse(&padded)[0].1.starts_with("v\r\n--B   "));
}

#[test]
fn bodies_that_stop_early() {
    assert_eq!(parse(""), owned(&[]));
    assert_eq!(parse("--B--"), owned(&[]));
    assert_eq!(parse("no boundary at all"), owned(&[]));
    assert_eq!(
        parse("--B\r\nContent-Disposition: form-data; name=a"),
        owned(&[])
    );
    assert_eq!(parse(A), owned(&[("a", "")]));
    assert_eq!(parse(&format!("{A}v\r\n--")), owned(&[("a", "v\r\n--")]));
    assert_eq!(parse(&format!("{A}v\r\n--B")), owned(&[("a", "v")]));
}

#[test]
fn preamble_and_epilogue_are_skipped() {
    let body = format!("--C\r\nhello\r\n--B x\r\n{A}v\r\n--B--\r\n{A}w\r\n--B--");
    assert_eq!(parse(&body), owned(&[("a", "v")]));
}

#[test]
fn an_empty_part_needs_no_line_break() {
    let body = format!("{A}{A}v\r\n--B--\r\n");
    assert_eq!(parse(&body), owned(&[("a", ""), ("a", "v")]));
}

#[test]
fn headers_that_run_into_a_boundary_drop_the_part() {
    let body = format!("--B\r\nX: y\r\n{A}v\r\n--B--\r\n");
    assert_eq!(parse(&body), owned(&[("a", "v")]));
}

#[test]
fn many_dropped_parts_in_one_chunk() {
    let body = format!(
        "{}{A}v\r\n{}{A}w\r\n--B--\r\n",
        "--B\r\n".repeat(9),
        "--B\r\nX: y\r\n".repeat(9)
    );
    assert_eq!(parse(&body), owned(&[("a", "v"), ("a", "w")]));
}

#[test]
fn headers_are_collected() {
    let body =
        b"--B\r\nX-One:  1 \r\nContent-Disposition: Form-Data;\r\n\tname=n;\r\n filename=\"\"\r\n\
        content-type: Text/Plain; charset=X\r\n\r\nv\r\n--B--";
    let sink = parse_in(body, 7, Limits::default()).unwrap();
    let part = &sink.parts[0].0;
    assert_eq!(part.headers[0], (b"X-One".to_vec(), b"1".to_vec()));
    assert_eq!(part.headers[1].1, b"Form-Data; name=n; filename=\"\"");
    assert_eq!(part.name.as_deref(), Some(&b"n"[..]));
    assert_eq!(part.filename.as_deref(), Some(&b""[..]));
    assert_eq!(part.content_type.as_ref().unwrap().first, b"text/plain");
    assert_eq!(part.disposition.as_ref().unwrap().first, b"form-data");
}

#[test]
fn limits() {
    let limits = Limits {
        fields: 2,
        header_size: 60,
        ..Limits::default()
    };
    let body = format!("{A}v\r\n{A}v\r\n{A}v\r\n--B--");
    assert_eq!(refused(&body, limits), Error::TooManyFields(2));
    assert!(refused(&body, limits).is_too_large());
    let body = format!("--B\r\nX: {}\r\n\r\n", "x".repeat(100));
    assert_eq!(refused(&body, limits), Error::HeadersTooLarge(60));
    let body = format!("--B\r\n{}\r\n", "X: y\r\n".repeat(20));
    assert_eq!(refused(&body, limits), Error::HeadersTooLarge(60));
    let error = refused("--B\r\nnonsense\r\n\r\n", limits);
    assert_eq!(error, Error::BadHeader("nonsense".into()));
    assert!(!error.is_too_large());
    for content_type in [
        "multipart/form-data",
        "multipart/x; boundary=",
        "x; boundary=\"\"",
    ] {
        let parser = Parser::new(content_type.as_bytes(), limits, 0);
        assert_eq!(parser.unwrap_err(), Error::BadBoundary);
    }
}

const NESTED: &str = "--B\r\nContent-Disposition: form-data; name=o\r\n\
    Content-Type: multipart/mixed; boundary=C\r\n\r\n\
    --C\r\nContent-Disposition: file; filename=f\r\n\r\none\r\n--C\r\n\r\ntwo\r\n--C--\r\nignored\r\n\
    --B\r\nContent-Disposition: form-data; name=p\r\n\r\nthree\r\n--B--";

#[test]
fn a_nested_multipart_is_a_field_unless_asked_for() {
    let fields = parse(NESTED);
    assert_eq!(fields.len(), 2);
    assert!(fields[0].1.starts_with("--C\r\n") && fields[0].1.ends_with("ignored"));
    let limits = Limits {
        nesting: 1,
        ..Limits::default()
    };
    assert_eq!(
        parse_with(NESTED.as_bytes(), limits).unwrap(),
        owned(&[("o", "one"), ("o", "two"), ("p", "three")])
    );
}

#[test]
fn nesting_has_a_limit() {
    let body = NESTED.replace("two", "--D\r\n").replace(
        "--C\r\n\r\n",
        "--C\r\nContent-Type: multipart/mixed; boundary=D\r\n\r\n",
    );
    let limits = Limits {
        nesting: 1,
        ..Limits::default()
    };
    assert_eq!(refused(&body, limits), Error::NestedTooDeep(1));
}

#[test]
fn an_outer_boundary_ends_the_inner_multipart() {
    let body = NESTED.replace("--C--\r\n", "");
    let limits = Limits {
        nesting: 1,
        ..Limits::default()
    };
    assert_eq!(
        parse_with(body.as_bytes(), limits).unwrap(),
        owned(&[("o", "one"), ("o", "two\r\nignored"), ("p", "three")])
    );
}

#[test]
fn memory_has_limits() {
    let limits = Limits {
        field_size: 100,
        form_size: 300,
        ..Limits::default()
    };
    let field = |size: usize| format!("{A}{}\r\n", "x".repeat(size));
    assert_eq!(
        parse_with((field(100) + "--B--").as_bytes(), limits)
            .unwrap()
            .len(),
        1
    );
    let error = Error::FieldTooLarge {
        name: "a".into(),
        limit: 100,
    };
    assert_eq!(refused(&(field(101) + "--B--"), limits), error);
    assert_eq!(
        refused(&field(100).repeat(3), limits),
        Error::FormTooLarge(300)
    );
    let upload = field(1000).replace("\"a\"", "f; filename=f");
    assert_eq!(parse_with(upload.as_bytes(), limits).unwrap().len(), 1);
    // The headers of uploads are kept in memory.
    assert_eq!(refused(&upload.repeat(6), limits), Error::FormTooLarge(300));
}

#[test]
fn fields_known_before_count() {
    let limits = Limits {
        fields: 3,
        ..Limits::default()
    };
    let mut parser = Parser::new(b"x; boundary=B", limits, 3).unwrap();
    let error = parser.feed(A.as_bytes(), &mut Collect::default());
    assert_eq!(error.unwrap_err(), Error::TooManyFields(3));
}

#[test]
fn of_two_limits_the_one_met_first_is_told() {
    let body = format!("{A}{}\r\n--B--", "x".repeat(500));
    let within = |field_size, form_size| Limits {
        field_size,
        form_size,
        ..Limits::default()
    };
    assert_eq!(refused(&body, within(300, 200)), Error::FormTooLarge(200));
    let error = refused(&body, within(100, 400));
    assert!(matches!(error, Error::FieldTooLarge { limit: 100, .. }));
}
