/* mod_callgrind: lets the benchmark's client steer callgrind from inside httpd, at a request's edge.
 *
 * GET /~callgrind/start | zero | NAME turns instrumentation on, clears the counters, or dumps them. A
 * client request is exact and works where vgdb cannot attach to a process that waits in a system call. */

#include <string.h>

#include "httpd.h"
#include "http_config.h"
#include "http_protocol.h"

#include <valgrind/callgrind.h>

#define PREFIX "/~callgrind/"

static int control(request_rec *r)
{
    const char *what;

    if (strncmp(r->uri, PREFIX, sizeof(PREFIX) - 1)) return DECLINED;
    what = r->uri + sizeof(PREFIX) - 1;
    if (!strcmp(what, "start")) {
        CALLGRIND_START_INSTRUMENTATION;
    }
    else if (!strcmp(what, "zero")) {
        CALLGRIND_ZERO_STATS;
    }
    else {
        CALLGRIND_DUMP_STATS_AT(what);
    }
    ap_set_content_type(r, "text/plain");
    ap_rputs("done\n", r);
    return OK;
}

static void register_hooks(apr_pool_t *p)
{
    ap_hook_handler(control, NULL, NULL, APR_HOOK_REALLY_FIRST);
}

module AP_MODULE_DECLARE_DATA callgrind_module = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_hooks
};
