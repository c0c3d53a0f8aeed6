/* mod_cref: what each benchmarked Python handler does, done directly through httpd's API (the limit). */

#include "httpd.h"
#include "http_config.h"
#include "http_core.h"
#include "http_log.h"
#include "http_protocol.h"
#include "http_request.h"
#include "apr_file_io.h"
#include "apr_strings.h"

#define BLOCK (16 * 1024)
#define MIB (1024 * 1024)

module AP_MODULE_DECLARE_DATA cref_module;

typedef struct {
    const char *body;              /* cref-bytes: what is sent */
    apr_size_t length;
    const char *type;              /* its Content-Type */
    apr_array_header_t *headers;   /* apr_table_entry_t: response headers to add */
    const char *file;              /* cref-sendfile: the file */
    int read_body;                 /* cref-bytes: read and discard the request body first */
    int phases;                    /* take part in the access and fixup phases */
} cref_dir;


static void *create_dir(apr_pool_t *p, char *dir)
{
    return apr_pcalloc(p, sizeof(cref_dir));
}

static void *merge_dir(apr_pool_t *p, void *basev, void *newv)
{
    cref_dir *base = basev, *add = newv, *conf = apr_pmemdup(p, add, sizeof(*add));

    if (!conf->body) {
        conf->body = base->body;
        conf->length = base->length;
    }
    if (!conf->type) conf->type = base->type;
    if (!conf->headers) conf->headers = base->headers;
    if (!conf->file) conf->file = base->file;
    conf->read_body |= base->read_body;
    conf->phases |= base->phases;
    return conf;
}

static const char *set_body(cmd_parms *cmd, void *dirv, const char *name)
{
    cref_dir *conf = dirv;
    apr_finfo_t info;
    apr_file_t *file;
    char *body;

    if (apr_file_open(&file, name, APR_READ | APR_BINARY, 0, cmd->temp_pool) != APR_SUCCESS
        || apr_file_info_get(&info, APR_FINFO_SIZE, file) != APR_SUCCESS) {
        return apr_psprintf(cmd->pool, "CrefBody: cannot open %s", name);
    }
    body = apr_palloc(cmd->pool, info.size + 1);
    if (apr_file_read_full(file, body, info.size, NULL) != APR_SUCCESS) {
        return apr_psprintf(cmd->pool, "CrefBody: cannot read %s", name);
    }
    conf->body = body;
    conf->length = info.size;
    return NULL;
}

static const char *add_header(cmd_parms *cmd, void *dirv, const char *name, const char *value)
{
    cref_dir *conf = dirv;
    apr_table_entry_t *entry;

    if (!conf->headers) conf->headers = apr_array_make(cmd->pool, 8, sizeof(apr_table_entry_t));
    entry = apr_array_push(conf->headers);
    entry->key = (char *)name;
    entry->val = (char *)value;
    return NULL;
}

/* Stands for a directive that a Python .htaccess has and a C one would not need. */
static const char *note(cmd_parms *cmd, void *dirv, const char *word)
{
    return NULL;
}

static const command_rec commands[] = {
    AP_INIT_TAKE1("CrefBody", set_body, NULL, OR_ALL, "file whose content cref-bytes sends"),
    AP_INIT_TAKE1("CrefType", ap_set_string_slot, (void *)APR_OFFSETOF(cref_dir, type), OR_ALL,
                  "Content-Type of cref-bytes"),
    AP_INIT_TAKE2("CrefHeader", add_header, NULL, OR_ALL, "response header of cref-bytes"),
    AP_INIT_TAKE1("CrefFile", ap_set_string_slot, (void *)APR_OFFSETOF(cref_dir, file), OR_ALL,
                  "file of cref-sendfile"),
    AP_INIT_FLAG("CrefReadBody", ap_set_flag_slot, (void *)APR_OFFSETOF(cref_dir, read_body),
                 OR_ALL, "read and discard the request body"),
    AP_INIT_FLAG("CrefPhases", ap_set_flag_slot, (void *)APR_OFFSETOF(cref_dir, phases), OR_ALL,
                 "answer OK in the access and fixup phases"),
    AP_INIT_TAKE1("CrefNote", note, NULL, OR_ALL, "does nothing"),
    {NULL}
};

/* Reads the request body; keeps it in `into` when that is not NULL. Returns its length or -1. */
static apr_off_t read_body(request_rec *r, char *into)
{
    char buffer[8192];
    apr_off_t total = 0;
    long got;

    if (ap_setup_client_block(r, REQUEST_CHUNKED_ERROR) != OK) return -1;
    if (!ap_should_client_block(r)) return 0;
    while ((got = ap_get_client_block(r, buffer, sizeof(buffer))) > 0) {
        if (into) memcpy(into + total, buffer, got);
        total += got;
    }
    return got < 0 ? -1 : total;
}

static int hello(request_rec *r)
{
    ap_set_content_type(r, "text/plain");
    return ap_rwrite("hello world\n", 12, r) < 0 ? HTTP_INTERNAL_SERVER_ERROR : OK;
}

static int hello_flush(request_rec *r)
{
    int status = hello(r);

    return status == OK && ap_rflush(r) < 0 ? HTTP_INTERNAL_SERVER_ERROR : status;
}

static int headers(request_rec *r)
{
    static const char *const wanted[] = {"Host", "User-Agent", "Accept", "Accept-Language", "X-Token"};
    static const char *const given[] = {"X-One", "X-Two", "X-Three", "X-Four", "X-Five"};
    int i, n = 0;

    for (i = 0; i < 5; i++) {
        const char *value = apr_table_get(r->headers_in, wanted[i]);
        n += value ? (int)strlen(value) : 0;
    }
    for (i = 0; i < 5; i++) {
        apr_table_set(r->headers_out, given[i], "value");
    }
    n += (int)(strlen(r->uri) + strlen(r->method) + strlen(r->protocol) + strlen(r->args));
    ap_set_content_type(r, "text/plain");
    ap_rprintf(r, "%d\n", n);
    return OK;
}

static int bytes(request_rec *r)
{
    cref_dir *conf = ap_get_module_config(r->per_dir_config, &cref_module);
    int i;

    if (conf->read_body && read_body(r, NULL) < 0) return HTTP_BAD_REQUEST;
    ap_set_content_type(r, conf->type ? conf->type : "text/plain");
    for (i = 0; conf->headers && i < conf->headers->nelts; i++) {
        apr_table_entry_t *entry = &APR_ARRAY_IDX(conf->headers, i, apr_table_entry_t);
        apr_table_addn(r->headers_out, entry->key, entry->val);
    }
    ap_rwrite(conf->body, conf->length, r);
    return OK;
}

/* 1 MiB of 'x'; two threads that make it at once write the same bytes. */
static const char *million(void)
{
    static char bytes[MIB];

    if (bytes[MIB - 1] != 'x') memset(bytes, 'x', MIB);
    return bytes;
}

static int write_one(request_rec *r)
{
    ap_set_content_type(r, "application/octet-stream");
    return ap_rwrite(million(), MIB, r) < 0 ? HTTP_INTERNAL_SERVER_ERROR : OK;
}

static int write_many(request_rec *r)
{
    const char *x = million();
    int i;

    ap_set_content_type(r, "application/octet-stream");
    for (i = 0; i < MIB / BLOCK; i++) {
        if (ap_rwrite(x, BLOCK, r) < 0) return HTTP_INTERNAL_SERVER_ERROR;
    }
    return OK;
}

static int send_file(request_rec *r)
{
    cref_dir *conf = ap_get_module_config(r->per_dir_config, &cref_module);
    apr_finfo_t info;
    apr_file_t *file;
    apr_size_t sent;

    if (apr_stat(&info, conf->file, APR_FINFO_SIZE, r->pool) != APR_SUCCESS
        || apr_file_open(&file, conf->file, APR_READ | APR_BINARY | APR_SENDFILE_ENABLED, 0, r->pool)
           != APR_SUCCESS) {
        return HTTP_NOT_FOUND;
    }
    ap_set_content_type(r, "application/octet-stream");
    return ap_send_fd(file, r, 0, info.size, &sent) == APR_SUCCESS ? OK : HTTP_INTERNAL_SERVER_ERROR;
}

static int post(request_rec *r)
{
    const char *length = apr_table_get(r->headers_in, "Content-Length");
    char *body = apr_palloc(r->pool, length ? apr_atoi64(length) + 8192 : 8192);
    apr_off_t got = read_body(r, body);

    if (got < 0) return HTTP_BAD_REQUEST;
    ap_set_content_type(r, "text/plain");
    ap_rprintf(r, "%" APR_OFF_T_FMT "\n", got);
    return OK;
}

static const struct {
    const char *name;
    int (*run)(request_rec *r);
} handlers[] = {
    {"cref-hello", hello},           {"cref-hello-flush", hello_flush}, {"cref-headers", headers},
    {"cref-bytes", bytes},           {"cref-write-one", write_one},     {"cref-write-many", write_many},
    {"cref-sendfile", send_file},    {"cref-post", post},
};

static int handler(request_rec *r)
{
    size_t i;

    if (!r->handler || strncmp(r->handler, "cref-", 5)) return DECLINED;
    for (i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
        if (!strcmp(r->handler, handlers[i].name)) return handlers[i].run(r);
    }
    return DECLINED;
}

static int phase(request_rec *r)
{
    cref_dir *conf = ap_get_module_config(r->per_dir_config, &cref_module);

    return conf->phases ? OK : DECLINED;
}

/* Copies every data bucket, as a filter written in Python must. */
static apr_status_t copy_filter(ap_filter_t *f, apr_bucket_brigade *in)
{
    apr_bucket_brigade *out = apr_brigade_create(f->r->pool, f->c->bucket_alloc);
    apr_bucket *b;

    apr_table_setn(f->r->headers_out, "X-Filter", "copy");
    for (b = APR_BRIGADE_FIRST(in); b != APR_BRIGADE_SENTINEL(in); b = APR_BRIGADE_FIRST(in)) {
        const char *data;
        apr_size_t length;
        apr_status_t status;

        if (APR_BUCKET_IS_METADATA(b)) {
            APR_BUCKET_REMOVE(b);
            APR_BRIGADE_INSERT_TAIL(out, b);
            continue;
        }
        status = apr_bucket_read(b, &data, &length, APR_BLOCK_READ);
        if (status != APR_SUCCESS) return status;
        APR_BRIGADE_INSERT_TAIL(out, apr_bucket_heap_create(data, length, NULL, f->c->bucket_alloc));
        apr_bucket_delete(b);
    }
    return ap_pass_brigade(f->next, out);
}

static void register_hooks(apr_pool_t *p)
{
    ap_hook_access_checker(phase, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_fixups(phase, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(handler, NULL, NULL, APR_HOOK_MIDDLE);
    ap_register_output_filter("cref-copy", copy_filter, NULL, AP_FTYPE_RESOURCE);
}

module AP_MODULE_DECLARE_DATA cref_module = {
    STANDARD20_MODULE_STUFF, create_dir, merge_dir, NULL, NULL, commands, register_hooks
};
