"""What sessions write to the error log."""

CRIT, ERR, WARNING, NOTICE = 2, 3, 4, 5  # httpd's levels


def failure(req, what):
    """Log the exception being handled."""
    import traceback

    req.log_error("%s : %s" % (what, traceback.format_exc()), ERR)
