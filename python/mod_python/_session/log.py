"""What sessions write to the error log."""

CRIT, ERR, WARNING, NOTICE = 2, 3, 4, 5  # httpd's levels


def failure(req, what, where):
    """Log the exception being handled; where names the session, for who has to look at it."""
    import traceback

    req.log_error("%s : %s(%s)" % (what, traceback.format_exc(), where), ERR)
