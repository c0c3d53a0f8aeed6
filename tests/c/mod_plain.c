/* mod_plain: a handler of a few lines, and one that hangs; what httpd itself does to connections at a
 * restart, and to children at its end, shows under them, so that it is not held against us. */

#include <unistd.h>

#include "httpd.h"
#include "http_config.h"
#include "http_protocol.h"

static int plain_handler(request_rec *r)
{
    if (r->handler && !strcmp(r->handler, "plain-hangs")) {
        ap_rputs("begun", r);
        ap_rflush(r);
        for (;;) sleep(600);
    }
    if (!r->handler || strcmp(r->handler, "plain")) return DECLINED;
    ap_set_content_type(r, "text/plain");
    ap_rputs("hello", r);
    return OK;
}

static void register_hooks(apr_pool_t *p)
{
    ap_hook_handler(plain_handler, NULL, NULL, APR_HOOK_MIDDLE);
}

module AP_MODULE_DECLARE_DATA plain_module = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_hooks
};
