"""Phases before the page: who is it (authen), may they (authz), who hears of it (fixup)?"""

import hashlib
import hmac

from mod_python import apache

# name: (salt, PBKDF2-SHA256 of the password, may see everything); a real site keeps these
# elsewhere. The passwords are sesame (ali) and open (morgiana).
ROUNDS = 100_000
USERS = {
    "ali": ("d1", "4ea640933287a433ca5041dadd27e3cba7605581b81887d401a63b5a608f6d3d", True),
    "morgiana": ("5a", "f640ed80f3c6f4b361208fae9e45981451736c7d10b844bc1efd9baa597cf3be", False),
}


def authenhandler(req):
    """The password first: it is this call that makes httpd fill req.user."""
    password = req.get_basic_auth_pw()
    salt, wanted, _ = USERS.get(req.user, ("00", "", False))
    given = hashlib.pbkdf2_hmac("sha256", (password or "").encode(), bytes.fromhex(salt), ROUNDS)
    if hmac.compare_digest(given.hex(), wanted):
        return apache.OK
    return apache.HTTP_UNAUTHORIZED


def authzhandler(req):
    """treasure.txt is for those who may see everything; the rest is for all who came in."""
    if req.uri.endswith("/treasure.txt") and not USERS[req.user][2]:
        return apache.HTTP_FORBIDDEN
    return apache.OK


def fixuphandler(req):
    """The application behind the proxy learns the name, never the password."""
    # Set, not added: whatever the visitor sent under this name goes.
    req.headers_in["X-Remote-User"] = req.user
    del req.headers_in["Authorization"]
    return apache.OK
