/* httpd's and APR's function-like macros as functions, for the test of src/ffi/macros.rs. */

#include "httpd.h"
#include "http_config.h"
#include "apr_buckets.h"

void *c_get_module_config(ap_conf_vector_t *v, const module *m) { return ap_get_module_config(v, m); }
void c_set_module_config(ap_conf_vector_t *v, const module *m, void *x) { ap_set_module_config(v, m, x); }

apr_bucket *c_brigade_sentinel(apr_bucket_brigade *b) { return APR_BRIGADE_SENTINEL(b); }
apr_bucket *c_brigade_first(apr_bucket_brigade *b) { return APR_BRIGADE_FIRST(b); }
int c_brigade_is_empty(apr_bucket_brigade *b) { return APR_BRIGADE_EMPTY(b); }
void c_brigade_insert_tail(apr_bucket_brigade *b, apr_bucket *e) { APR_BRIGADE_INSERT_TAIL(b, e); }

apr_bucket *c_bucket_next(apr_bucket *e) { return APR_BUCKET_NEXT(e); }
void c_bucket_remove(apr_bucket *e) { APR_BUCKET_REMOVE(e); }
void c_bucket_delete(apr_bucket *e) { apr_bucket_delete(e); }
void c_bucket_destroy(apr_bucket *e) { apr_bucket_destroy(e); }
apr_status_t c_bucket_copy(apr_bucket *e, apr_bucket **c) { return apr_bucket_copy(e, c); }
apr_status_t c_bucket_split(apr_bucket *e, apr_size_t at) { return apr_bucket_split(e, at); }
apr_status_t c_bucket_read(apr_bucket *e, const char **data, apr_size_t *length, apr_read_type_e block)
{
    return apr_bucket_read(e, data, length, block);
}
int c_bucket_is_eos(const apr_bucket *e) { return APR_BUCKET_IS_EOS(e); }
int c_bucket_is_flush(const apr_bucket *e) { return APR_BUCKET_IS_FLUSH(e); }
int c_bucket_is_metadata(const apr_bucket *e) { return APR_BUCKET_IS_METADATA(e); }

apr_status_t c_enotimpl(void) { return APR_ENOTIMPL; }
