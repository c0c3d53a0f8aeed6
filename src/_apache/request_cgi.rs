//! `req.add_cgi_vars`: the variables of a CGI script in `subprocess_env`. (objects.md 3.1.2)

use std::ffi::CStr;

use crate::httpd::Request;

/// Fills `subprocess_env`; SCRIPT_NAME is the URI without its path_info.
pub fn add_cgi_vars(r: &Request) {
    let env = r.subprocess_env();
    let uri = r.uri().unwrap_or_default();
    let path_info = r.path_info().filter(|info| !info.is_empty());
    env.set(c"GATEWAY_INTERFACE", c"CGI/1.1");
    env.set(c"SERVER_PROTOCOL", r.protocol().unwrap_or_default());
    env.set(c"REQUEST_METHOD", r.method().unwrap_or_default());
    env.set(c"QUERY_STRING", r.args().unwrap_or_default());
    env.set(c"REQUEST_URI", uri);
    let script: &CStr = match path_info {
        Some(info) => {
            let length = r.find_path_info(uri, info).min(uri.to_bytes().len());
            r.pool().cstr(&uri.to_bytes()[..length])
        }
        None => uri,
    };
    env.set(c"SCRIPT_NAME", script);
    if let Some(info) = path_info {
        env.set(c"PATH_INFO", info);
    }
    r.add_common_vars();
}
