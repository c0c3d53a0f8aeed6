/* mod_python.h: how other modules of httpd reach Python and mod_python's objects.
 *
 * The functions are optional functions of APR: retrieve them in a post_config hook or later, and do without
 * them where mod_python is not loaded.
 *
 *     static APR_OPTIONAL_FN_TYPE(mp_acquire_interpreter) *acquire;
 *     ...
 *     acquire = APR_RETRIEVE_OPTIONAL_FN(mp_acquire_interpreter);
 *     if (acquire && acquire(NULL)) {
 *         PyObject *req = get_request_object(r);
 *         ...
 *         Py_XDECREF(req);
 *         release();
 *     }
 *
 * Python runs in httpd's children only, from their child_init on.
 */
#ifndef MOD_PYTHON_H
#define MOD_PYTHON_H

#include <Python.h>

#include "httpd.h"
#include "apr_optional.h"

/* Attaches the calling thread to the interpreter of this name, which is made if it is new; NULL is the main
 * interpreter, and so is "main_interpreter". The thread then holds the GIL. Returns NULL when Python does
 * not run or the interpreter could not be made (the error log says why); then there is nothing to release.
 *
 * Calls nest. Every successful one is followed by mp_release_interpreter on the same thread, before the thread
 * goes back to httpd. */
APR_DECLARE_OPTIONAL_FN(PyInterpreterState *, mp_acquire_interpreter, (const char *name));

/* Goes back to what the thread was attached to before; as a rule to nothing. An exception that is still
 * set stays with the interpreter: clear it first. */
APR_DECLARE_OPTIONAL_FN(void, mp_release_interpreter, (void));

/* The Python object of a request, of a server, of a connection: a new reference, which the caller gives
 * back. NULL when the argument is NULL or the thread has acquired no interpreter, and NULL with an exception
 * set when there is no memory.
 *
 * There is one object for one request: handlers see the attributes set on it here, and the other way round.
 * Requests and connections can be used until the interpreter is released, and again by whoever is called by
 * httpd for them later; when they are over every use raises RuntimeError. */
APR_DECLARE_OPTIONAL_FN(PyObject *, mp_get_request_object, (request_rec *r));
APR_DECLARE_OPTIONAL_FN(PyObject *, mp_get_server_object, (server_rec *s));
APR_DECLARE_OPTIONAL_FN(PyObject *, mp_get_connection_object, (conn_rec *c));

#endif /* MOD_PYTHON_H */
