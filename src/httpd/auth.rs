//! Providers for httpd's own authentication and authorisation. (mod_auth.h, http_request.h)

use std::ffi::{c_char, c_int, c_void, CStr};

use super::{Pool, Request};
use crate::ffi;

/// What an authentication provider answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Authn {
    Denied = ffi::AUTH_DENIED,
    Granted = ffi::AUTH_GRANTED,
    UserFound = ffi::AUTH_USER_FOUND,
    UserNotFound = ffi::AUTH_USER_NOT_FOUND,
    GeneralError = ffi::AUTH_GENERAL_ERROR,
}

/// What an authorisation provider answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Authz {
    Denied = ffi::AUTHZ_DENIED,
    Granted = ffi::AUTHZ_GRANTED,
    Neutral = ffi::AUTHZ_NEUTRAL,
    GeneralError = ffi::AUTHZ_GENERAL_ERROR,
    DeniedNoUser = ffi::AUTHZ_DENIED_NO_USER,
}

/// The functions of the authentication provider.
pub struct AuthnFunctions {
    pub check_password: fn(&Request, user: &CStr, password: &CStr) -> Authn,
    /// The hash of user, realm and password for digest authentication, copied into the request's pool.
    pub realm_hash: RealmHash,
}

/// The answer, and the hash where the user is known.
pub type RealmHash = fn(&Request, user: &CStr, realm: &CStr) -> (Authn, Option<Vec<u8>>);

/// The functions of the authorisation provider; `T` is what a `Require` line was read into.
pub struct AuthzFunctions {
    pub check: unsafe fn(&Request, line: *const c_void) -> Authz,
    /// Reads the line while httpd reads its configuration; an error is httpd's message.
    pub parse: unsafe fn(*mut ffi::cmd_parms, line: &CStr) -> Result<*const c_void, String>,
}

static AUTHN: std::sync::OnceLock<AuthnFunctions> = std::sync::OnceLock::new();
static AUTHZ: std::sync::OnceLock<AuthzFunctions> = std::sync::OnceLock::new();

/// Registers both providers under a name, for the configuration about to be read.
pub fn register(pool: &Pool, name: &'static CStr, authn: AuthnFunctions, authz: AuthzFunctions) {
    // Registered again at each reading of the configuration, with the same functions.
    let _ = AUTHN.set(authn);
    let _ = AUTHZ.set(authz);
    // SAFETY: static records; the version is that of the headers.
    unsafe {
        ffi::ap_register_auth_provider(
            pool.as_ptr(),
            ffi::AUTHN_PROVIDER_GROUP.as_ptr().cast(),
            name.as_ptr(),
            ffi::AUTHN_PROVIDER_VERSION.as_ptr().cast(),
            std::ptr::from_ref(&AUTHN_PROVIDER).cast(),
            ffi::AP_AUTH_INTERNAL_PER_URI as c_int,
        );
        ffi::ap_register_auth_provider(
            pool.as_ptr(),
            ffi::AUTHZ_PROVIDER_GROUP.as_ptr().cast(),
            name.as_ptr(),
            ffi::AUTHZ_PROVIDER_VERSION.as_ptr().cast(),
            std::ptr::from_ref(&AUTHZ_PROVIDER).cast(),
            ffi::AP_AUTH_INTERNAL_PER_URI as c_int,
        );
    }
}

static AUTHN_PROVIDER: ffi::authn_provider = ffi::authn_provider {
    check_password: Some(check_password),
    get_realm_hash: Some(get_realm_hash),
};
static AUTHZ_PROVIDER: ffi::authz_provider = ffi::authz_provider {
    check_authorization: Some(check_authorization),
    parse_require_line: Some(parse_require_line),
};

unsafe extern "C" fn check_password(
    r: *mut ffi::request_rec,
    user: *const c_char,
    password: *const c_char,
) -> ffi::authn_status {
    super::guard::guard("check_password", Authn::GeneralError, || {
        let Some(functions) = AUTHN.get() else {
            return Authn::GeneralError;
        };
        // SAFETY: httpd's live request and strings.
        unsafe {
            (functions.check_password)(
                Request::from_raw(r),
                CStr::from_ptr(user),
                CStr::from_ptr(password),
            )
        }
    }) as ffi::authn_status
}

unsafe extern "C" fn get_realm_hash(
    r: *mut ffi::request_rec,
    user: *const c_char,
    realm: *const c_char,
    hash: *mut *mut c_char,
) -> ffi::authn_status {
    super::guard::guard("get_realm_hash", Authn::GeneralError, || {
        let Some(functions) = AUTHN.get() else {
            return Authn::GeneralError;
        };
        // SAFETY: httpd's live request and strings; the result lives in the request's pool.
        unsafe {
            let r = Request::from_raw(r);
            let (status, found) =
                (functions.realm_hash)(r, CStr::from_ptr(user), CStr::from_ptr(realm));
            if let Some(found) = found {
                *hash = r.pool().strdup(&found);
            }
            status
        }
    }) as ffi::authn_status
}

unsafe extern "C" fn check_authorization(
    r: *mut ffi::request_rec,
    _line: *const c_char,
    parsed: *const c_void,
) -> ffi::authz_status {
    super::guard::guard("check_authorization", Authz::GeneralError, || {
        let Some(functions) = AUTHZ.get() else {
            return Authz::GeneralError;
        };
        // SAFETY: httpd's live request, and what our own parse function made of the line.
        unsafe { (functions.check)(Request::from_raw(r), parsed) }
    }) as ffi::authz_status
}

unsafe extern "C" fn parse_require_line(
    cmd: *mut ffi::cmd_parms,
    line: *const c_char,
    parsed: *mut *const c_void,
) -> *const c_char {
    super::guard::guard(
        "parse_require_line",
        c"mod_python: internal error".as_ptr(),
        || {
            let Some(functions) = AUTHZ.get() else {
                return std::ptr::null();
            };
            // SAFETY: httpd's arguments, for the length of the call.
            unsafe {
                match (functions.parse)(cmd, CStr::from_ptr(line)) {
                    Ok(result) => {
                        *parsed = result;
                        std::ptr::null()
                    }
                    Err(message) => Pool::from_raw((*cmd).pool).strdup(message.as_bytes()),
                }
            }
        },
    )
}
