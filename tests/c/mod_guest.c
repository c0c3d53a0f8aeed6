/* mod_guest: another module of httpd that reaches Python through include/mod_python.h.
 *
 * SetHandler guest-handler: the query says what to do, the answer what came of it. The fixup hook looks at the
 * note "guest" to do something in the middle of a request that Python handles too. */

#include "mod_python.h"

#include "http_config.h"
#include "http_log.h"
#include "http_protocol.h"
#include "http_request.h"
#include "apr_strings.h"

static APR_OPTIONAL_FN_TYPE(mp_acquire_interpreter) *acquire;
static APR_OPTIONAL_FN_TYPE(mp_release_interpreter) *release;
static APR_OPTIONAL_FN_TYPE(mp_get_request_object) *get_request;
static APR_OPTIONAL_FN_TYPE(mp_get_server_object) *get_server;
static APR_OPTIONAL_FN_TYPE(mp_get_connection_object) *get_connection;

/* Runs a Python expression with req, server and connection; its str goes to the client. */
static void evaluate(request_rec *r, const char *expression)
{
    PyObject *req = get_request(r);
    PyObject *server = get_server(r->server);
    PyObject *connection = get_connection(r->connection);
    PyObject *globals = Py_BuildValue("{s:O,s:O,s:O}", "req", req, "server", server, "connection",
                                      connection);
    PyObject *value, *text;

    PyDict_SetItemString(globals, "__builtins__", PyEval_GetBuiltins());
    value = PyRun_String(expression, Py_eval_input, globals, globals);
    if (!value) {
        PyObject *type, *trace;
        PyErr_Fetch(&type, &value, &trace);
        PyErr_NormalizeException(&type, &value, &trace);
        Py_XDECREF(type);
        Py_XDECREF(trace);
    }
    text = PyObject_Str(value);
    ap_rprintf(r, "%s\n", text ? PyUnicode_AsUTF8(text) : "(unprintable)");
    Py_XDECREF(text);
    Py_XDECREF(value);
    Py_DECREF(globals);
    Py_DECREF(req);
    Py_DECREF(server);
    Py_DECREF(connection);
}

static int guest_handler(request_rec *r)
{
    char *last, *word, *query;

    if (!r->handler || strcmp(r->handler, "guest-handler")) return DECLINED;
    ap_set_content_type(r, "text/plain");
    if (!acquire || !release || !get_request || !get_server || !get_connection) {
        ap_rputs("no mod_python\n", r);
        return OK;
    }
    query = apr_pstrdup(r->pool, r->args ? r->args : "");
    ap_unescape_url(query);
    for (word = apr_strtok(query, "|", &last); word; word = apr_strtok(NULL, "|", &last)) {
        if (!strncmp(word, "acquire", 7)) {
            const char *name = word[7] ? word + 8 : NULL;
            PyInterpreterState *state = acquire(name);
            ap_rprintf(r, "%s\n", !state ? "refused"
                       : state == PyInterpreterState_Get() ? "acquired" : "another");
        }
        else if (!strcmp(word, "release")) {
            release();
        }
        else if (!strcmp(word, "objects")) {
            /* Without an interpreter, and without an argument. */
            ap_rprintf(r, "%d %d %d\n", !get_request(r), !get_server(r->server),
                       !get_connection(r->connection));
        }
        else if (!strcmp(word, "nulls")) {
            ap_rprintf(r, "%d %d %d\n", !get_request(NULL), !get_server(NULL),
                       !get_connection(NULL));
        }
        else if (!strcmp(word, "same")) {
            PyObject *one = get_request(r), *other = get_request(r);
            ap_rprintf(r, "%d\n", one == other);
            Py_DECREF(one);
            Py_DECREF(other);
        }
        else {
            evaluate(r, word);
        }
    }
    return OK;
}

static int guest_fixup(request_rec *r)
{
    const char *note = apr_table_get(r->notes, "guest");
    PyObject *req, *done;

    if (!note || !acquire || !acquire(note)) return DECLINED;
    req = get_request(r);
    done = req ? PyObject_CallMethod(req, "mine", "s", "from C") : NULL;
    Py_XDECREF(done);
    PyErr_Clear();
    Py_XDECREF(req);
    release();
    return OK;
}

static int guest_post_config(apr_pool_t *p, apr_pool_t *log, apr_pool_t *temp, server_rec *s)
{
    acquire = APR_RETRIEVE_OPTIONAL_FN(mp_acquire_interpreter);
    release = APR_RETRIEVE_OPTIONAL_FN(mp_release_interpreter);
    get_request = APR_RETRIEVE_OPTIONAL_FN(mp_get_request_object);
    get_server = APR_RETRIEVE_OPTIONAL_FN(mp_get_server_object);
    get_connection = APR_RETRIEVE_OPTIONAL_FN(mp_get_connection_object);
    /* No Python in the parent: refused, and nothing breaks. */
    if (acquire && acquire(NULL))
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, "Python in the parent");
    return OK;
}

static void register_hooks(apr_pool_t *p)
{
    ap_hook_post_config(guest_post_config, NULL, NULL, APR_HOOK_LAST);
    ap_hook_fixups(guest_fixup, NULL, NULL, APR_HOOK_LAST);
    ap_hook_handler(guest_handler, NULL, NULL, APR_HOOK_MIDDLE);
}

module AP_MODULE_DECLARE_DATA guest_module = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_hooks
};
