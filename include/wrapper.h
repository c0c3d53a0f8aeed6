/* The httpd and APR headers that bindgen reads, plus constants for macros it cannot see. */
#include "httpd.h"
#include "http_config.h"
#include "http_core.h"
#include "http_connection.h"
#include "http_log.h"
#include "http_main.h"
#include "http_protocol.h"
#include "http_request.h"
#include "ap_expr.h"
#include "ap_listen.h"
#include "ap_mpm.h"
#include "ap_provider.h"
#include "ap_socache.h"
#include "mod_auth.h"
#include "mod_include.h"
#include "mod_ssl.h"
#include "mod_status.h"
#include "scoreboard.h"
#include "util_filter.h"
#include "util_script.h"

#include "apr_buckets.h"
#include "apr_fnmatch.h"
#include "apr_hash.h"
#include "apr_network_io.h"
#include "apr_optional.h"
#include "apr_optional_hooks.h"
#include "apr_strings.h"
#include "apr_tables.h"

/* Macros with casts or strings pasted together, which bindgen leaves out. */
enum mp_constants {
    MP_OR_ALL = OR_ALL,
    MP_RSRC_CONF = RSRC_CONF,
    MP_ACCESS_CONF = ACCESS_CONF,
    MP_MODULE_MAGIC_NUMBER_MAJOR = MODULE_MAGIC_NUMBER_MAJOR,
    MP_MODULE_MAGIC_NUMBER_MINOR = MODULE_MAGIC_NUMBER_MINOR,
    MP_APLOG_STARTUP = APLOG_STARTUP,
    MP_APR_HOOK_MIDDLE = APR_HOOK_MIDDLE,
    MP_APR_ENOENT = APR_ENOENT,
    MP_APR_NOTFOUND = APR_NOTFOUND,
    MP_APR_EINCOMPLETE = APR_INCOMPLETE,
    MP_APR_EGENERAL = APR_EGENERAL,
    MP_APR_OS_DEFAULT = APR_OS_DEFAULT,
    MP_ENABLE_MMAP_OFF = ENABLE_MMAP_OFF,
    MP_ENABLE_SENDFILE_ON = ENABLE_SENDFILE_ON,
    MP_SERVER_DEAD = SERVER_DEAD,
    MP_SERVER_READY = SERVER_READY,
    MP_SERVER_STARTING = SERVER_STARTING,
    MP_SERVER_GRACEFUL = SERVER_GRACEFUL,
    MP_AP_FILTER_ERROR = AP_FILTER_ERROR
};
