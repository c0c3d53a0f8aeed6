/* Extension modules of several kinds, told apart by macros: how well each takes several interpreters.
   MODULE is the name; SINGLE_PHASE, MULTI_PHASE, REFUSING or FIRST_ONLY the kind. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)
#define TEXT_(a) #a
#define TEXT(a) TEXT_(a)

/* What a module that knows one interpreter only typically keeps. */
static PyObject *kept;
static int calls;

static PyObject *keep(PyObject *self, PyObject *value)
{
    Py_INCREF(value);
    Py_XDECREF(kept);
    kept = value;
    return PyLong_FromLong(++calls);
}

static PyObject *look(PyObject *self, PyObject *unused)
{
    if (!kept)
        Py_RETURN_NONE;
    Py_INCREF(kept);
    return kept;
}

/* The simplified GIL interface, which finds the main interpreter only. */
static PyObject *ensure(PyObject *self, PyObject *unused)
{
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *result = PyLong_FromLong(1);
    PyGILState_Release(state);
    return result;
}

static PyMethodDef methods[] = {
    { "keep", keep, METH_O, "Keeps an object for all interpreters; returns how often." },
    { "look", look, METH_NOARGS, "What was kept last." },
    { "ensure", ensure, METH_NOARGS, "Uses PyGILState_Ensure." },
    { NULL, NULL, 0, NULL },
};

#ifdef REFUSING
/* As CPython, PyO3 and Cython do it. */
static int check(PyObject *module)
{
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError,
                        "module " TEXT(MODULE) " does not support loading in subinterpreters");
        return -1;
    }
    return 0;
}
#endif

#ifdef FIRST_ONLY
/* As Cython and NumPy do it: whichever interpreter comes first. */
static int check(PyObject *module)
{
    static PyInterpreterState *first;
    if (!first)
        first = PyInterpreterState_Get();
    if (PyInterpreterState_Get() != first) {
        PyErr_SetString(PyExc_ImportError,
                        "Interpreter change detected - this module can only be loaded into one "
                        "interpreter per process.");
        return -1;
    }
    return 0;
}
#endif

#ifndef SINGLE_PHASE
static PyModuleDef_Slot slots[] = {
#if defined(REFUSING) || defined(FIRST_ONLY)
    { Py_mod_exec, check },
#endif
#ifdef Py_mod_multiple_interpreters
    { Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED },
#endif
    { 0, NULL },
};
#endif

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = TEXT(MODULE),
    .m_methods = methods,
#ifdef SINGLE_PHASE
    .m_size = -1,
#else
    .m_slots = slots,
#endif
};

PyMODINIT_FUNC PASTE(PyInit_, MODULE)(void)
{
#ifdef SINGLE_PHASE
    return PyModule_Create(&definition);
#else
    return PyModuleDef_Init(&definition);
#endif
}
