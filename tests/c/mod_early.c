/* mod_early: executes a directive while httpd.conf is still being read, and so before any pre_config hook,
 * as mod_perl does with what a <Perl> section adds. */

#include "httpd.h"
#include "http_config.h"
#include "apr_strings.h"

typedef struct {
    const char *rest;
} source_t;

static apr_status_t next_char(char *c, void *param)
{
    source_t *source = param;
    if (!*source->rest) return APR_EOF;
    *c = *source->rest++;
    return APR_SUCCESS;
}

static apr_status_t next_line(void *buffer, apr_size_t size, void *param)
{
    source_t *source = param;
    if (!*source->rest) return APR_EOF;
    apr_cpystrn(buffer, source->rest, size);
    source->rest += strlen(buffer);
    return APR_SUCCESS;
}

static apr_status_t close_source(void *param)
{
    (void)param;
    return APR_SUCCESS;
}

static const char *early(cmd_parms *cmd, void *mconfig, const char *line)
{
    cmd_parms inner = *cmd;
    ap_directive_t *tree = NULL;
    const char *error;
    source_t source = { line };

    (void)mconfig;
    apr_pool_create(&inner.temp_pool, cmd->pool);
    inner.override = RSRC_CONF | OR_ALL;
    inner.path = NULL;
    inner.directive = NULL;
    inner.config_file = ap_pcfg_open_custom(cmd->pool, "early", &source, next_char, next_line, close_source);
    error = ap_build_config(&inner, cmd->pool, inner.temp_pool, &tree);
    if (!error) error = ap_walk_config(tree, &inner, cmd->server->lookup_defaults);
    apr_pool_destroy(inner.temp_pool);
    return error;
}

static const command_rec commands[] = {
    AP_INIT_RAW_ARGS("Early", early, NULL, RSRC_CONF | EXEC_ON_READ, "a directive to execute at once"),
    { NULL }
};

module AP_MODULE_DECLARE_DATA early_module = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, commands, NULL
};
