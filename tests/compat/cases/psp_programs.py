"""Every state of the PSP translation table and its consequences, byte for byte: library.md 5.4.1.

Each case shows the program of `page.psp`; whether that program is good Python is no matter here.
"""

from compat.case import case, get

_HANDLER = """
    from mod_python import _psp

    def handler(req):
        req.content_type = "text/plain"
        directory = req.filename.rsplit("/", 1)[0] + "/"
        req.write(_psp.parse("page.psp", directory).encode(), 0)
        return apache.OK
"""


def _program(name, about, page, program, files=None):
    contents = {"page.psp": page, **(files or {})}
    case(
        f"psp-program-{name}",
        f"library.md 5.4.1: {about}",
        _HANDLER,
        get(body=program),
        # As bytes, or blanks at the ends of lines would be lost.
        files={
            file: content if isinstance(content, bytes) else content.encode()
            for file, content in contents.items()
        },
    )


def _text(name, about, page, literal):
    """A page whose program is one write of text."""
    _program(f"text-{name}", about, page, f'req.write("""{literal}""",0)\n')


# start and TEXT
_program("empty", "an empty page is an empty program", "", "")
_text("plain", "text is copied", "a b", "a b")
_text("quote", "a double quote is escaped", 'a "b"', 'a \\"b\\"')
_text("quotes", "three double quotes do not end the literal", '"""', '\\"\\"\\"')
_text("apostrophes", "single quotes are copied", "'''", "'''")
_text("backslash-nrt", "backslash n, r and t are doubled", r"\n\r\t", r"\\n\\r\\t")
_text(
    "backslash-other",
    "other backslashes are copied",
    r"\x41 \\ \N{DASH} \d",
    r"\x41 \\ \N{DASH} \d",
)
_text("backslash-twice-n", "of two backslashes the second belongs to the n", r"\\n", r"\\\n")
_text("backslash-quote", "a backslash before a quote is copied", '\\"', '\\\\"')
_text("backslash-lf", "a backslash at a line's end is copied", "a\\\nb", "a\\\nb")
_text("backslash-crlf", "the same before CRLF", "a\\\r\nb", "a\\\nb")
_text("backslash-end", "a page that ends in a backslash", "a\\", "a\\")
_text("lf", "LF is copied", "a\nb\n", "a\nb\n")
_text("crlf", "CRLF becomes LF", b"a\r\nb\r\n", "a\nb\n")
_text("cr", "a lone CR is copied", b"a\rb", "a\rb")
_text("cr-crlf", "CR before CRLF is a lone one", b"a\r\r\nb", "a\r\nb")
_text("utf8", "other text is copied as it is", "é€\U0001f40d", "é€\U0001f40d")
_text("bom", "a byte order mark is text", "\ufeffa", "\ufeffa")
_text("lone-less", "a lone < is text", "a < b <c <", "a < b <c <")
_text("lone-percent", "% and > alone are text", "100% > 50 %", "100% > 50 %")
_text("close", "a closing tag outside of code is text", "a %> b", "a %> b")
_text("close-comment", "so is a comment's end", "a --%> b", "a --%> b")
_text("controls", "control characters are copied", "a\tb\x0b\x0c\x01", "a\tb\x0b\x0c\x01")

# CODE: expressions
_program(
    "expression",
    "an expression is written as str",
    "a<%= 1 + 1 %>b",
    'req.write("""a""",0); req.write(str( 1 + 1 ),0); req.write("""b""",0)\n',
)
_program(
    "expression-tight",
    "blanks in the tag are the page's",
    "<%=x%>",
    'req.write("""""",0); req.write(str(x),0); req.write("""""",0)\n',
)
_program(
    "expression-empty",
    "an empty expression",
    "<%=%>",
    'req.write("""""",0); req.write(str(),0); req.write("""""",0)\n',
)
_program(
    "expression-lines",
    "an expression may have several lines",
    "<%=\n  x\n+ y %>z",
    'req.write("""""",0); req.write(str(\n  x\n+ y ),0); req.write("""z""",0)\n',
)
_program(
    "expression-comment",
    "a comment at its end eats the parenthesis",
    "<%= x # c %>",
    'req.write("""""",0); req.write(str( x # c ),0); req.write("""""",0)\n',
)
_program(
    "expression-colon",
    "a colon in an expression indents nothing",
    "<%= d[1:] %>a<%= l: %>b",
    'req.write("""""",0); req.write(str( d[1:] ),0); req.write("""a""",0);'
    ' req.write(str( l: ),0); req.write("""b""",0)\n',
)
_program(
    "expression-colon-kept",
    "a colon right at its end counts for an empty block after it",
    "<%=x:%>a<%%>b",
    'req.write("""""",0); req.write(str(x:),0); req.write("""a""",0);;\treq.write("""b""",0)\n',
)
_program(
    "expressions",
    "several on a line",
    "<%=a%><%=b%> <%=c%>",
    'req.write("""""",0); req.write(str(a),0); req.write("""""",0); req.write(str(b),0);'
    ' req.write(""" """,0); req.write(str(c),0); req.write("""""",0)\n',
)

# CODE: blocks without a newline
_program(
    "block",
    "a block on one line gets a semicolon",
    "<% x = 1 %>a",
    'req.write("""""",0); x = 1 ;req.write("""a""",0)\n',
)
_program("block-empty", "an empty block", "<%%>a", 'req.write("""""",0);;req.write("""a""",0)\n')
_program(
    "block-blank", "a block of blanks", "<% \t%>a", 'req.write("""""",0); \t;req.write("""a""",0)\n'
)
_program(
    "block-comment",
    "a comment swallows what follows on its line",
    "<%# c %>a\nb",
    'req.write("""""",0);# c ;req.write("""a\nb""",0)\n',
)
_program(
    "block-colon",
    "a colon at the end adds a tab",
    "<% if x:%>a<% y %>b",
    'req.write("""""",0); if x:;\treq.write("""a""",0); y ;req.write("""b""",0)\n',
)
_program(
    "block-colon-blank",
    "a blank after the colon takes that back",
    "<% if x: %>a",
    'req.write("""""",0); if x: ;req.write("""a""",0)\n',
)
_program(
    "block-close-in-string",
    "a closing tag inside a string ends the block",
    '<% x = "%>" %>',
    'req.write("""""",0); x = ";req.write("""\\" %>""",0)\n',
)
_program(
    "block-open-inside",
    "an opening tag inside code is code",
    "<% a <% b <%= c %>d",
    'req.write("""""",0); a <% b <%= c ;req.write("""d""",0)\n',
)
_program(
    "block-minus",
    "a block that starts like a comment is one only with two hyphens",
    "<%-x%>a",
    'req.write("""""",0);-x;req.write("""a""",0)\n',
)
_program(
    "block-percent",
    "percent signs in code",
    "<% x = 7 % 2 %>a<%= '%d%%' % x %>",
    'req.write("""""",0); x = 7 % 2 ;req.write("""a""",0);'
    ' req.write(str( \'%d%%\' % x ),0); req.write("""""",0)\n',
)

# CODE and INDENT: blocks with newlines
_program(
    "lines",
    "the indentation of the last line outlives the block",
    "<%\nfor i in x:\n  y = i\n%>a<%= i %>b",
    'req.write("""""",0);\nfor i in x:\n  y = i\n  req.write("""a""",0);'
    ' req.write(str( i ),0); req.write("""b""",0)\n',
)
_program(
    "lines-until-next",
    "until the next block",
    "<%\n  x\n%>a<% y %>b",
    'req.write("""""",0);\n  x\n  req.write("""a""",0); y ;req.write("""b""",0)\n',
)
_program(
    "lines-colon",
    "a colon at the end adds a tab, whatever newlines follow",
    "<%\nif x:\n\n\n%>a<%\nelse:\n%>b",
    'req.write("""""",0);\nif x:\n\n\n\treq.write("""a""",0);\nelse:\n\treq.write("""b""",0)\n',
)
_program(
    "lines-colon-nested",
    "the tab comes after the remembered indentation",
    "<%\nfor x in y:\n    if x:\n%>a",
    'req.write("""""",0);\nfor x in y:\n    if x:\n    \treq.write("""a""",0)\n',
)
_program(
    "lines-colon-indented-blank",
    "a line of blanks replaces the indentation and keeps the colon",
    "<%\nif x:\n  \n%>a",
    'req.write("""""",0);\nif x:\n  \n  \treq.write("""a""",0)\n',
)
_program(
    "lines-colon-comment",
    "a comment after the colon prevents the tab",
    "<%\nif x: # c\n%>a",
    'req.write("""""",0);\nif x: # c\nreq.write("""a""",0)\n',
)
_program(
    "lines-comment",
    "an indented comment sets the indentation",
    "<%\nif x:\n    # begin\n%>a<%\n# end\n%>b",
    'req.write("""""",0);\nif x:\n    # begin\n    req.write("""a""",0);\n# end\n'
    'req.write("""b""",0)\n',
)
_program(
    "lines-blank-ends",
    "an empty line ends it",
    "<%\n  x\n\n%>a",
    'req.write("""""",0);\n  x\n\nreq.write("""a""",0)\n',
)
_program(
    "lines-column-0",
    "so does a line at column 0",
    "<%\n  x\ny\n%>a",
    'req.write("""""",0);\n  x\ny\nreq.write("""a""",0)\n',
)
_program(
    "lines-form-feed",
    "a form feed is no blank",
    "<%\n  x\n\x0c%>a",
    'req.write("""""",0);\n  x\n\x0creq.write("""a""",0)\n',
)
_program(
    "lines-tabs",
    "tabs and spaces are remembered as they are",
    "<%\n\t \tx\n%>a",
    'req.write("""""",0);\n\t \tx\n\t \treq.write("""a""",0)\n',
)
_program(
    "lines-close-indented",
    "a closing tag on its own indented line doubles the indentation",
    "<%\n  x\n  %>a",
    'req.write("""""",0);\n  x\n    req.write("""a""",0)\n',
)
_program(
    "lines-close-same-line",
    "a closing tag after code on a later line has no semicolon",
    "<%\n  x %>a",
    'req.write("""""",0);\n  x   req.write("""a""",0)\n',
)
_program(
    "lines-first",
    "the indentation of the block's first line is not looked at",
    "<%  x\n%>a",
    'req.write("""""",0);  x\nreq.write("""a""",0)\n',
)
_program(
    "lines-only-newline",
    "a block of one newline",
    "<%\n%>a",
    'req.write("""""",0);\nreq.write("""a""",0)\n',
)
_program(
    "lines-crlf",
    "CRLF in code becomes LF",
    b"<%\r\nif x:\r\n  y\r\n%>a",
    'req.write("""""",0);\nif x:\n  y\n  req.write("""a""",0)\n',
)
_program(
    "lines-cr",
    "a CR in code becomes LF, but no indentation is seen after it",
    b"<%\rif x:\r  y\r%>a",
    'req.write("""""",0);\nif x:\n  y\nreq.write("""a""",0)\n',
)
_program(
    "lines-cr-keeps",
    "and one right before the closing tag changes nothing",
    b"<%\n  y\r%>a",
    'req.write("""""",0);\n  y\n  req.write("""a""",0)\n',
)
_program(
    "lines-cr-after-lf",
    "a CR at a line's start is an empty line",
    b"<%\n  y\n\r%>a",
    'req.write("""""",0);\n  y\n\nreq.write("""a""",0)\n',
)
_program(
    "expression-keeps-indent",
    "an expression of several lines changes the indentation only for later closing tags",
    "<%\n  x\n%>a<%=\n    y %>b<%= z %>c",
    'req.write("""""",0);\n  x\n  req.write("""a""",0); req.write(str(\n    y ),0);'
    ' req.write("""b""",0); req.write(str( z ),0); req.write("""c""",0)\n',
)

# COMMENT and DIRECTIVE
_program("comment", "a comment is dropped", "a<%-- b --%>c", 'req.write("""ac""",0)\n')
_program(
    "comment-inside",
    "tags in it are, too",
    'a<%-- <% x %> <%= y %> " \\ -- %> --%>c',
    'req.write("""ac""",0)\n',
)
_program("comment-empty", "an empty comment", "a<%----%>c", 'req.write("""ac""",0)\n')
_program("comment-hyphens", "hyphens before its end", "a<%-- b ---%>c", 'req.write("""ac""",0)\n')
_program(
    "comment-lines",
    "its newlines are dropped as well",
    "a<%-- b\n\n --%>c",
    'req.write("""ac""",0)\n',
)
_program(
    "comment-in-code",
    "in code it is code",
    "<% x <%-- y --%>a",
    'req.write("""""",0); x <%-- y --;req.write("""a""",0)\n',
)
_program(
    "comment-after-block",
    "a comment leaves the remembered indentation alone",
    "<%\n  x\n%>a<%-- b --%>c<%= d %>",
    'req.write("""""",0);\n  x\n  req.write("""ac""",0); req.write(str( d ),0);'
    ' req.write("""""",0)\n',
)
_program("directive", "an unknown directive is dropped", "a<%@ b c %>d", 'req.write("""ad""",0)\n')
_program(
    "directive-jsp",
    "as those of other page languages",
    'a<%@ page language="python" contentType="text/html" %>d',
    'req.write("""ad""",0)\n',
)
_program("directive-empty", "an empty one", "a<%@%>d", 'req.write("""ad""",0)\n')
_program("directive-lines", "one with newlines", "a<%@ b\nc\n%>d", 'req.write("""ad""",0)\n')
_program(
    "directive-quotes", "quotes do not hide its end", 'a<%@ b="%>d"', 'req.write("""ad\\"""",0)\n'
)

# include
_INCLUDED = {"part.psp": 'P "q" <%= x %> p\n'}
_PART = 'P \\"q\\" """,0); req.write(str( x ),0); req.write(""" p\n'


def _include(name, about, directive, is_include=True, files=None, part=_PART):
    program = f'req.write("""X{part}Y""",0)\n' if is_include else 'req.write("""XY""",0)\n'
    _program(
        f"include-{name}", about, f"X<%@{directive}%>Y", program, {**_INCLUDED, **(files or {})}
    )


_include("plain", "the file's text continues the literal", ' include file="part.psp" ')
_include("tight", "without blanks", 'include file="part.psp"')
_include("equals", "one blank on each side of the equals sign", ' include   file = "part.psp" ')
_include("before-equals", "a blank before it", ' include file ="part.psp" ')
_include("after-equals", "a blank after it", ' include file= "part.psp" ')
_include("prefixed", "the word may end another one", ' xinclude file="part.psp" ')
_include("trailing", "the rest of the directive is dropped", ' include file="part.psp" and so on ')
_include("dotted", "the name is put after the directory as it is", ' include file="./part.psp" ')
_include("many-blanks", "two blanks before the equals sign", ' include file  ="part.psp" ', False)
_include("many-blanks-after", "two blanks after it", ' include file=  "part.psp" ', False)
_include("tab", "a tab is no blank", ' include\tfile="part.psp" ', False)
_include("newline", "nor is a newline", ' include\nfile="part.psp" ', False)
_include("apostrophes", "single quotes", " include file='part.psp' ", False)
_include("unquoted", "no quotes", " include file=part.psp ", False)
_include("empty-name", "an empty name", ' include file="" ', False)
_include("blank-in-name", "a blank in the name", ' include file="part one.psp" ', False)
_include("capital", "upper case", ' INCLUDE file="part.psp" ', False)
_include("virtual", "another attribute", ' include virtual="part.psp" ', False)
_include(
    "twice",
    "two in a directive",
    ' include file="part.psp" include file="part.psp" ',
    part=_PART * 2,
)
_include(
    "nested",
    "an included file may include",
    ' include file="outer.psp" ',
    files={"outer.psp": 'O<%@ include file="part.psp" %>o'},
    part=f"O{_PART}o",
)
_include(
    "empty-file", "an empty file", ' include file="none.psp" ', files={"none.psp": ""}, part=""
)
_include(
    "subdirectory",
    "names are relative to the page's directory even in an included file",
    ' include file="sub/outer.psp" ',
    files={"sub/outer.psp": 'O<%@ include file="part.psp" %>o'},
    part=f"O{_PART}o",
)
_include(
    "block",
    "the state of the included code stays",
    ' include file="loop.psp" ',
    files={"loop.psp": "<%\nfor i in x:\n  pass\n%>"},
    part='""",0);\nfor i in x:\n  pass\n  req.write("""',
)
_program(
    "include-open",
    "an included file that ends in code ends the program",
    'X<%@ include file="open.psp" %>Y',
    'req.write("""X""",0);\nz = 1\n',
    {"open.psp": "<%\nz = 1\n"},
)
_program(
    "include-in-loop",
    "inside of a loop",
    '<%\nfor i in y:\n%>A<%@ include file="part.psp" %>B',
    f'req.write("""""",0);\nfor i in y:\n\treq.write("""A{_PART}B""",0)\n',
    _INCLUDED,
)
_program(
    "include-in-code",
    "in code it is code",
    '<% x <%@ include file="part.psp" %>',
    'req.write("""""",0); x <%@ include file="part.psp" ;req.write("""""",0)\n',
    _INCLUDED,
)
_program(
    "include-in-comment",
    "in a comment it is nothing",
    'a<%-- <%@ include file="nowhere.psp" %> --%>b',
    'req.write("""ab""",0)\n',
)

# pages that break off
_program("open-block", "a block at the end", "a<% x", 'req.write("""a""",0); x')
_program("open-lines", "the same with lines", "a<%\n  x\n  ", 'req.write("""a""",0);\n  x\n  ')
_program("open-expression", "an expression", "a<%= x", 'req.write("""a""",0); req.write(str( x')
_program("open-tag", "nothing but a tag", "<%", 'req.write("""""",0);')
_program("open-comment", "a comment", "a<%-- x", 'req.write("""a')
_program(
    "open-comment-short", "a comment is not closed by its own hyphens", "a<%--%>b", 'req.write("""a'
)
_program("open-directive", "a directive", "a<%@ x", 'req.write("""a')
_program("nul-text", "a NUL ends the program", b"a\0b", 'req.write("""a')
_program("nul-code", "in code as well", b"<% x\0y %>", 'req.write("""""",0); x')
