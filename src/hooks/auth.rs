//! Our providers for `AuthBasicProvider`, `AuthDigestProvider` and `Require`.

use crate::config::require;
use crate::dispatch::auth;
use crate::httpd::auth::{AuthnFunctions, AuthzFunctions};
use crate::httpd::Pool;

/// Makes the name `python` known to httpd, before it reads its configuration.
pub fn register(pool: &Pool) {
    let authn = AuthnFunctions {
        check_password: auth::check_password,
        realm_hash: auth::realm_hash,
    };
    let authz = AuthzFunctions {
        check: auth::authorize,
        parse: require::parse,
    };
    crate::httpd::auth::register(pool, c"python", authn, authz);
}
