"""Tables: objects.md 3.4."""

from compat.case import TYPES_ONLY, transcript

transcript(
    "table-construct",
    "objects.md 3.4: constructor arguments; keys and values go through str()",
    """
    >>> apache.table()
    {}
    >>> apache.table({'a': '1'})
    {'a': '1'}
    >>> apache.table([('a', '1'), ('a', '2'), ('b', '3')])
    {'b': '3', 'a': '2'}
    >>> apache.table(items={'a': 'b'})
    {'a': 'b'}
    >>> apache.table(apache.table({'a': 'b'}))
    {'a': 'b'}
    >>> apache.table({1: 2, None: 3.5})
    {'None': '3.5', '1': '2'}
    >>> apache.table((('a', 'b'),))
    {'a': 'b'}
    >>> apache.table(('ab', 'cd'))
    {'c': 'd', 'a': 'b'}
    >>> apache.make_table is apache.table, type(apache.table()).__name__
    (True, 'mp_table')
    >>> apache.table is type(req.headers_in)
    True
    """,
)

transcript(
    "table-construct-errors",
    "objects.md 3.4: texts of constructor errors",
    """
    >>> apache.table(5)
    TypeError
    >>> apache.table([1])
    TypeError
    >>> apache.table([('a',)])
    ValueError: table update sequence element #0 has length 1; 2 is required
    >>> apache.table([('a', 'b'), ('a', 'b', 'c')])
    ValueError: table update sequence element #1 has length 3; 2 is required
    >>> apache.table({}, {})
    TypeError
    >>> apache.table(a='b')
    TypeError
    """,
    replace=TYPES_ONLY,
)

transcript(
    "table-get-item",
    "objects.md 3.4: subscript gives one str or a list; keys ignore case",
    """
    >>> t = apache.table([('One', '1')])
    >>> t.add('two', 'a')
    >>> t.add('TWO', 'b')
    >>> t['one'], t['ONE'], t[b'One']
    ('1', '1', '1')
    >>> t['Two']
    ['a', 'b']
    >>> t['three']
    KeyError: 'three'
    >>> t['']
    KeyError: ''
    >>> t[5]
    TypeError
    >>> t[None]
    TypeError
    """,
    replace=TYPES_ONLY,
)

transcript(
    "table-set-item",
    "objects.md 3.4: assignment replaces all entries at the first one's place",
    """
    >>> t = apache.table()
    >>> t.add('a', '1')
    >>> t.add('b', '2')
    >>> t.add('A', '3')
    >>> t['a'] = 'new'
    >>> t.items()
    [('a', 'new'), ('b', '2')]
    >>> t[b'c'] = b'bytes'
    >>> t.items()
    [('a', 'new'), ('b', '2'), ('c', 'bytes')]
    >>> t['a'] = 5
    TypeError
    >>> t['a'] = None
    TypeError
    >>> t[5] = 'a'
    TypeError
    >>> t['a'] = ['b']
    TypeError
    >>> t['a'] = ''
    >>> t.items()
    [('a', ''), ('b', '2'), ('c', 'bytes')]
    """,
    replace=TYPES_ONLY,
)

transcript(
    "table-delete",
    "objects.md 3.4: del removes all, silently",
    """
    >>> t = apache.table()
    >>> t.add('a', '1')
    >>> t.add('b', '2')
    >>> t.add('A', '3')
    >>> del t['a']
    >>> t.items()
    [('b', '2')]
    >>> del t['nothing']
    >>> del t[5]
    TypeError
    >>> len(t)
    1
    """,
    replace=TYPES_ONLY,
)

transcript(
    "table-contains-get",
    "objects.md 3.4: in, has_key, get",
    """
    >>> t = apache.table([('a', '1')])
    >>> t.add('a', '2')
    >>> 'a' in t, 'A' in t, 'b' in t, b'a' in t
    (True, True, False, True)
    >>> t.has_key('a'), t.has_key('b')
    (1, 0)
    >>> t.get('a'), t.get('A'), t.get('b'), t.get('b', 7)
    ('1', '1', None, 7)
    >>> 5 in t
    TypeError
    >>> t.get(5)
    TypeError
    >>> t.get()
    TypeError
    >>> t.get('a', 'b', 'c')
    TypeError
    >>> t.has_key()
    TypeError
    """,
    replace=TYPES_ONLY,
)

transcript(
    "table-setdefault",
    "objects.md 3.4: setdefault of a present key, and without a default",
    """
    >>> t = apache.table([('a', '1')])
    >>> t.add('a', '2')
    >>> t.setdefault('a'), t.setdefault('A', 'x')
    ('1', '1')
    >>> t.setdefault('b')
    ''
    >>> t.items()
    [('a', '1'), ('a', '2'), ('b', '')]
    """,
)

transcript(
    "table-add",
    "objects.md 3.4: add appends, exactly two arguments",
    """
    >>> t = apache.table()
    >>> t.add('a', '1')
    >>> t.add('a', '2')
    >>> t.add(b'b', b'3')
    >>> t.items()
    [('a', '1'), ('a', '2'), ('b', '3')]
    >>> t.add('a')
    TypeError
    >>> t.add('a', 'b', 'c')
    TypeError
    >>> t.add('a', 5)
    TypeError
    >>> t.add('a', None)
    TypeError
    >>> t.add(None, 'a')
    TypeError
    """,
    replace=TYPES_ONLY,
)

transcript(
    "table-sizes-and-lists",
    "objects.md 3.4: len and bool count duplicates; keys, values, items are lists",
    """
    >>> t = apache.table()
    >>> len(t), bool(t)
    (0, False)
    >>> t.add('b', '1')
    >>> t.add('a', '2')
    >>> t.add('B', '3')
    >>> len(t), bool(t)
    (3, True)
    >>> t.keys()
    ['b', 'a', 'B']
    >>> t.values()
    ['1', '2', '3']
    >>> t.items()
    [('b', '1'), ('a', '2'), ('B', '3')]
    >>> list(t), [k for k in t]
    (['b', 'a', 'B'], ['b', 'a', 'B'])
    >>> dict(t.items())
    {'b': '1', 'a': '2', 'B': '3'}
    >>> t.keys(1)
    TypeError
    """,
    replace=TYPES_ONLY,
)

transcript(
    "table-iterators",
    "objects.md 3.4: iterators, their type, next(), and changes meanwhile",
    """
    >>> t = apache.table([('a', '1'), ('b', '2')])
    >>> list(t.iterkeys()), list(t.itervalues()), list(t.iteritems())
    (['a', 'b'], ['1', '2'], [('a', '1'), ('b', '2')])
    >>> i = iter(t)
    >>> next(i), i.next()
    ('a', 'b')
    >>> i.next()
    StopIteration
    >>> iter(i) is i
    True
    >>> i = iter(t)
    >>> next(i)
    'a'
    >>> t.add('c', '3')
    >>> next(i)
    RuntimeError: table changed size during iteration
    >>> next(i)
    RuntimeError: table changed size during iteration
    """,
)

transcript(
    "table-popitem-empty",
    "objects.md 3.4: popitem of an empty table",
    """
    >>> apache.table().popitem()
    KeyError: 'popitem(): table is empty'
    >>> t = apache.table([('a', '1')])
    >>> t.popitem()
    ('a', '1')
    >>> len(t)
    0
    """,
)

transcript(
    "table-clear-copy",
    "objects.md 3.4: clear and copy",
    """
    >>> t = apache.table([('a', '1'), ('b', '2')])
    >>> c = t.copy()
    >>> type(c).__name__, c is t, c == t, sorted(c.items())
    ('mp_table', False, True, [('a', '1'), ('b', '2')])
    >>> t.clear()
    >>> len(t), len(c)
    (0, 2)
    >>> h = req.headers_in.copy()
    >>> h['x'] = 'y'
    >>> 'x' in req.headers_in
    False
    """,
)

transcript(
    "table-update",
    "objects.md 3.4: update needs keys() and replaces",
    """
    >>> t = apache.table([('a', '1')])
    >>> t.update({'a': '2', 'b': 3})
    >>> t.items()
    [('a', '2'), ('b', '3')]
    >>> t.update(apache.table({'c': '4'}))
    >>> t.items()
    [('a', '2'), ('b', '3'), ('c', '4')]
    >>> t.update([('a', 'b')])
    AttributeError
    >>> t.update(None)
    AttributeError
    >>> t.update(x='y')
    TypeError
    >>> t.update()
    TypeError
    """,
    replace=TYPES_ONLY,
)

transcript(
    "table-compare",
    "objects.md 3.4: comparison as dicts, with case-sensitive keys",
    """
    >>> t = apache.table([('a', '1'), ('b', '2')])
    >>> t == {'b': '2', 'a': '1'}, t != {'b': '2', 'a': '1'}
    (True, False)
    >>> t == {'A': '1', 'b': '2'}
    False
    >>> t == apache.table({'b': '2', 'a': '1'})
    True
    >>> t.add('a', '9')
    >>> t == {'a': ['1', '9'], 'b': '2'}
    True
    >>> try:
    ...     t < {}
    ... except TypeError:
    ...     'refused'
    'refused'
    >>> apache.table() == {}
    True
    """,
)

transcript(
    "table-repr",
    "objects.md 3.4: repr runs backwards, dict-like",
    r"""
    >>> t = apache.table([('a', '1'), ('b', '2')])
    >>> t
    {'b': '2', 'a': '1'}
    >>> str(t)
    "{'b': '2', 'a': '1'}"
    >>> t.add('a', '3')
    >>> t
    {'a': '3', 'b': '2', 'a': '1'}
    >>> apache.table({'q': "it's", 'd': '"', 'both': '\'"', 'n': 'a\nb\\'})
    {'n': 'a\nb\\', 'both': '\'"', 'd': '"', 'q': "it's"}
    >>> apache.table()
    {}
    """,
)

transcript(
    "table-protocols",
    "objects.md 3.4: unhashable, no attributes, no pop, no pickling",
    """
    >>> t = apache.table()
    >>> hash(t)
    TypeError: mp_table objects are unhashable
    >>> try:
    ...     t.x = 1
    ... except AttributeError as error:
    ...     refused = str(error)  # Python 3.13 adds to it.
    >>> refused.startswith("'mp_table' object has no attribute 'x'")
    True
    >>> t.pop('a')
    AttributeError: 'mp_table' object has no attribute 'pop'
    >>> apache.table.fromkeys
    AttributeError: type object 'mp_table' has no attribute 'fromkeys'
    >>> import copy, pickle
    >>> copy.copy(t)
    TypeError: cannot pickle 'mp_table' object
    >>> pickle.dumps(t)
    TypeError: cannot pickle 'mp_table' object
    >>> t | {}
    TypeError: unsupported operand type(s) for |: 'mp_table' and 'dict'
    >>> callable(t), type(t).__module__
    (False, 'builtins')
    """,
)

transcript(
    "table-live",
    "objects.md 3.1.1: req's tables are live and the same object at each access",
    """
    >>> req.headers_in is req.headers_in, req.notes is req.notes
    (True, True)
    >>> req.headers_out['X-Mine'] = 'yes'
    >>> t = req.headers_out
    >>> t['X-Mine']
    'yes'
    >>> del req.headers_out['X-Mine']
    >>> 'X-Mine' in t
    False
    >>> req.headers_in = {}
    AttributeError: attribute 'headers_in' of 'mp_request' objects is not writable
    >>> req.subprocess_env['A'] = 'b'
    >>> req.subprocess_env['A']
    'b'
    """,
)

# -- repaired ------------------------------------------------------------------------------------

transcript(
    "table-setdefault-missing",
    "gotchas A2: setdefault of a missing key with a default crashed",
    """
    >>> t = apache.table()
    >>> t.setdefault('a', 'b')
    'b'
    >>> t.items()
    [('a', 'b')]
    """,
    crashes_original=True,
)

transcript(
    "table-popitem",
    "gotchas B6: popitem returns what it removes, the last",
    """
    >>> t = apache.table([('a', '1'), ('b', '2')])
    >>> t.popitem()
    ('b', '2')
    >>> t.items()
    [('a', '1')]
    """,
)

transcript(
    "table-copy-duplicates",
    "gotchas B7: copy keeps duplicates",
    """
    >>> t = apache.table([('a', '1')])
    >>> t.add('a', '2')
    >>> t.copy().items()
    [('a', '1'), ('a', '2')]
    >>> t == t.copy()
    True
    """,
)

transcript(
    "table-key-with-blank",
    "gotchas B13: keys are compared plainly, blanks count",
    """
    >>> t = apache.table({'a b': '1'})
    >>> t['ab']
    KeyError: 'ab'
    """,
)

transcript(
    "table-subclass",
    "gotchas C18: subclasses are real",
    """
    >>> class Mine(apache.table):
    ...     extra = 5
    ...     def shout(self):
    ...         return self['a'].upper()
    >>> t = Mine({'a': 'x'})
    >>> type(t).__name__, t.shout(), t.extra
    ('Mine', 'X', 5)
    >>> isinstance(t, apache.table), t == {'a': 'x'}
    (True, True)
    """,
)

transcript(
    "table-str-subclass",
    "gotchas C19: subclasses of str and bytes are text too",
    """
    >>> class Text(str):
    ...     pass
    >>> t = apache.table()
    >>> t[Text('a')] = Text('b')
    >>> t.items(), t[Text('A')]
    ([('a', 'b')], 'b')
    >>> Text('a') in t
    True
    """,
)

transcript(
    "table-non-ascii",
    "gotchas C17: text goes in and comes out as UTF-8, other bytes by surrogateescape",
    r"""
    >>> t = apache.table()
    >>> t['a'] = 'caf\u00e9 \u20ac'
    >>> ascii(t['a'])
    "'caf\\xe9 \\u20ac'"
    >>> t['b'] = b'\xe9'
    >>> ascii(t['b']), ascii(t.get('b'))
    ("'\\udce9'", "'\\udce9'")
    >>> t['c'] = t['b']
    >>> ascii(t.items())
    "[('a', 'caf\\xe9 \\u20ac'), ('b', '\\udce9'), ('c', '\\udce9')]"
    """,
    crashes_original=True,
)

transcript(
    "table-compare-non-mapping",
    "gotchas A18: comparison with a non-mapping is simply unequal",
    """
    >>> t = apache.table({'a': 'b'})
    >>> t == 5
    False
    >>> t != 5
    True
    >>> t == None
    False
    >>> t == [('a', 'b')]
    False
    """,
)

transcript(
    "table-null-values",
    "objects.md 3.1.2: in a Location SCRIPT_FILENAME is there without a value, in copies too",
    """
    >>> req.add_cgi_vars()
    >>> env = req.subprocess_env
    >>> copy = env.copy()
    >>> env['SCRIPT_FILENAME'] is None, copy['SCRIPT_FILENAME'] is None
    (True, True)
    >>> copy.get('SCRIPT_FILENAME', 'absent'), 'SCRIPT_FILENAME' in copy
    ('absent', False)
    >>> copy == env, len(copy) == len(env)
    (True, True)
    >>> [key for key, value in copy.items() if value is None]
    ['SCRIPT_FILENAME']
    >>> apache.build_cgi_env(req)['SCRIPT_FILENAME'] is None
    True
    >>> apache.table(env)['SCRIPT_FILENAME']
    'None'
    >>> copy['SCRIPT_FILENAME'] = 'x'
    >>> copy['SCRIPT_FILENAME']
    'x'
    >>> env.setdefault('SCRIPT_FILENAME')
    ''
    """,
    conf="",
    sections="""
    <Location @url@>
        SetHandler mod_python
        PythonHandler @mod@
        PythonPath "['@dir@'] + sys.path"
    </Location>
    """,
)
