//! The parser against the original's answers, which the program texts here are copies of.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::directive::Escape;
use super::page::{Error, Page};
use super::parser::{parse, Loaded, Settings};

/// Translates `files["page"]`; the other files can be included from it.
fn page_of(files: &[(&str, &str)]) -> Result<Page, Error<String>> {
    let files: HashMap<_, _> = files.iter().copied().collect();
    let settings = Settings {
        dir: Some(OsStr::new("/d/")),
        is_file: true,
        escape: Escape::Off,
    };
    let loaded = |text: &str| Loaded {
        text: text.to_owned(),
        escape: None,
    };
    parse(
        PathBuf::from("/d/page"),
        loaded(files["page"]),
        &settings,
        &mut |path: &Path| {
            let name = path
                .to_str()
                .and_then(|path| path.strip_prefix("/d/"))
                .unwrap_or_default();
            files
                .get(name)
                .map(|text| loaded(text))
                .ok_or_else(|| Error::Load {
                    path: path.to_owned(),
                    included_at: None,
                    source: name.to_owned(),
                })
        },
    )
}

fn page(text: &str) -> Page {
    page_of(&[("page", text)]).unwrap()
}

#[test]
fn states_and_what_they_emit() {
    for (text, program) in [
        ("", ""),
        ("a\"b", "req.write(\"\"\"a\\\"b\"\"\",0)\n"),
        (r"\n \r \t \x \\ \", "req.write(\"\"\"\\\\n \\\\r \\\\t \\x \\\\ \\\"\"\",0)\n"),
        ("a\r\nb\rc\r\r\n", "req.write(\"\"\"a\nb\rc\r\n\"\"\",0)\n"),
        ("<%=1%>", "req.write(\"\"\"\"\"\",0); req.write(str(1),0); req.write(\"\"\"\"\"\",0)\n"),
        ("<% x=1 %>", "req.write(\"\"\"\"\"\",0); x=1 ;req.write(\"\"\"\"\"\",0)\n"),
        ("<%%>", "req.write(\"\"\"\"\"\",0);;req.write(\"\"\"\"\"\",0)\n"),
        (
            "<%\nif x:\n  y=1\n%>z<%# end %>w",
            "req.write(\"\"\"\"\"\",0);\nif x:\n  y=1\n  req.write(\"\"\"z\"\"\",0);# end ;req.write(\"\"\"w\"\"\",0)\n",
        ),
        (
            "<%\nif x:\n\n%>z",
            "req.write(\"\"\"\"\"\",0);\nif x:\n\n\treq.write(\"\"\"z\"\"\",0)\n",
        ),
        ("<%\nif x: %>z", "req.write(\"\"\"\"\"\",0);\nif x: req.write(\"\"\"z\"\"\",0)\n"),
        ("<%\n  y\n  %>z", "req.write(\"\"\"\"\"\",0);\n  y\n    req.write(\"\"\"z\"\"\",0)\n"),
        ("<%\n  y\n# c\n%>z", "req.write(\"\"\"\"\"\",0);\n  y\n# c\nreq.write(\"\"\"z\"\"\",0)\n"),
        ("<%\r  x\r%>z", "req.write(\"\"\"\"\"\",0);\n  x\nreq.write(\"\"\"z\"\"\",0)\n"),
        ("<%\r\n  x\r%>z", "req.write(\"\"\"\"\"\",0);\n  x\n  req.write(\"\"\"z\"\"\",0)\n"),
        ("a<%-- \" <% é -- --%>d", "req.write(\"\"\"ad\"\"\",0)\n"),
        ("a<%@ \" é > %>d", "req.write(\"\"\"ad\"\"\",0)\n"),
        ("é<é>", "req.write(\"\"\"é<é>\"\"\",0)\n"),
    ] {
        let page = page(text);
        assert_eq!(page.program, program, "{text:?}");
        assert_eq!(page.cut, None, "{text:?}");
    }
}

#[test]
fn a_page_that_breaks_off_says_where() {
    for (text, program, line, column) in [
        ("a\n<% x", "req.write(\"\"\"a\n\"\"\",0); x", 2, 1),
        (
            "a<%= x",
            "req.write(\"\"\"a\"\"\",0); req.write(str( x",
            1,
            2,
        ),
        ("é<%-- x\n", "req.write(\"\"\"é", 1, 2),
        ("<%@ x", "req.write(\"\"\"", 1, 1),
        ("a\0b", "req.write(\"\"\"a", 1, 2),
        ("<%x\0y%>", "req.write(\"\"\"\"\"\",0);x", 1, 4),
    ] {
        let page = page(text);
        assert_eq!(page.program, program, "{text:?}");
        let (place, _) = page.cut.expect(text);
        assert_eq!((place.line, place.column), (line, column), "{text:?}");
    }
}

#[test]
fn included_text_continues_the_literal() {
    let page = page_of(&[
        ("page", "X<%@ include file=\"a\" include file=\"b\" %>Y"),
        ("a", "A<%@include file=\"b\"%>A\n"),
        ("b", "B<%\nif b:\n%>"),
    ]);
    let page = page.unwrap();
    let b = "B\"\"\",0);\nif b:\n\treq.write(\"\"\"";
    assert_eq!(
        page.program,
        format!("req.write(\"\"\"XA{b}A\n{b}Y\"\"\",0)\n")
    );
    let names: Vec<_> = page
        .files
        .iter()
        .map(|path| path.to_str().unwrap())
        .collect();
    assert_eq!(names, ["/d/page", "/d/a", "/d/b"]);
}

#[test]
fn an_include_that_breaks_off_ends_the_page() {
    let page = page_of(&[("page", "X<%@ include file=\"a\" %>Y"), ("a", "<% z=1\n")]).unwrap();
    assert_eq!(page.program, "req.write(\"\"\"X\"\"\",0); z=1\n");
    assert_eq!(page.cut.unwrap().0.path, Path::new("/d/a"));
}

#[test]
fn a_circle_is_named() {
    let files = [
        ("page", "<%@ include file=\"a\" %>"),
        ("a", "\n<%@ include file=\"b\" %>"),
        ("b", "<%@ include file=\"a\" %>"),
    ];
    let Err(Error::Syntax { place, message }) = page_of(&files) else {
        panic!("a circle went unnoticed");
    };
    assert_eq!(message, "page includes itself: /d/a -> /d/b -> /d/a");
    assert_eq!((place.path.to_str(), place.line), (Some("/d/b"), 1));
}

#[test]
fn a_missing_file_is_named_with_its_includer() {
    let files = [
        ("page", "x\n<%@ include file=\"a\" %>"),
        ("a", "<%@ include file=\"/q\" %>"),
    ];
    let Err(Error::Load {
        path, included_at, ..
    }) = page_of(&files)
    else {
        panic!("a missing file went unnoticed");
    };
    assert_eq!(path, Path::new("/q"));
    assert_eq!(included_at.unwrap().path, Path::new("/d/a"));
}

/// The file and line that a spot of the program came from.
fn origin(page: &Page, line: usize, column: usize) -> (&str, usize) {
    let mut before = page
        .segments
        .iter()
        .filter(|s| (s.program_line, s.program_column) <= (line, column));
    let segment = before
        .next_back()
        .expect("the first segment starts at the first byte");
    (
        page.files[segment.file].to_str().unwrap(),
        segment.line + line - segment.program_line,
    )
}

#[test]
fn lines_lead_back_to_their_files() {
    let text = page("1\r\n2\r3\n<%4\r5\r\n6%>\\\n7<%=8%>");
    assert_eq!(text.segments.len(), 1, "line for line, so nothing to map");

    let page = page_of(&[
        (
            "page",
            "1<%--\n--%><%=p2%>\n<%@ include file=\"a\" %><%=p3%>\n<%=p4%>",
        ),
        ("a", "a1\n<%=a2%>\n"),
    ]);
    let page = page.unwrap();
    let spot = |code: &str| {
        let at = page.program.find(code).unwrap();
        let line = page.program[..at].matches('\n').count() + 1;
        (
            line,
            at - page.program[..at].rfind('\n').map_or(0, |end| end + 1),
        )
    };
    for (code, file, line) in [
        ("p2", "/d/page", 2),
        ("a2", "/d/a", 2),
        ("p3", "/d/page", 3),
        ("p4", "/d/page", 4),
    ] {
        let (program_line, column) = spot(code);
        assert_eq!(origin(&page, program_line, column), (file, line), "{code}");
    }
}

#[test]
fn tags_are_quoted_for_messages() {
    let long = format!("a<% x=1 %>\n<%= é\n%><% {}", "y".repeat(100));
    let page = page(&long);
    let tags: Vec<_> = page.tags.iter().map(|tag| tag.excerpt.as_str()).collect();
    assert_eq!(tags[..2], ["<% x=1 %>", "<%= é"]);
    assert!(
        tags[2].ends_with("yyy...") && tags[2].len() == 63,
        "{}",
        tags[2]
    );
    let spots: Vec<_> = page
        .tags
        .iter()
        .map(|tag| (tag.program_line, tag.program_column, tag.line, tag.column))
        .collect();
    assert_eq!(spots[..2], [(1, 21, 1, 3), (2, 22, 2, 3)]);
}

#[test]
fn escaping_is_a_matter_of_each_file() {
    let settings = Settings {
        dir: None,
        is_file: true,
        escape: Escape::Html,
    };
    let load = |text: &str, escape| Loaded {
        text: text.to_owned(),
        escape,
    };
    let text = "<%=1%><%@ include file=\"raw\" %><%@ include file=\"same\" %>";
    let page = parse::<()>("page".into(), load(text, None), &settings, &mut |path| {
        Ok(if path == Path::new("raw") {
            load("<%=2%>", Some(Escape::Off))
        } else {
            load("<%=3%>", None)
        })
    });
    let program = page.unwrap().program;
    for call in ["__psp_escape__(1)", "str(2)", "__psp_escape__(3)"] {
        assert!(
            program.contains(&format!("req.write({call},0)")),
            "{call} in {program}"
        );
    }
}
