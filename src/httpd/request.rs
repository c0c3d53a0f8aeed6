//! `request_rec`: one request, its fields and what httpd does with it. (httpd.h, http_request.h)

use std::ffi::{c_char, c_int, c_void, CStr};

use super::opaque::{fields, opaque};
use super::{array, CText, Conn, Finfo, Pool, Server, Table};
use crate::ffi;

/// The C struct, for those who keep its address in a lease.
pub type Raw = ffi::request_rec;

opaque! {
    /// A request, lent for a callback. Bodies in and out: `request_body.rs`, `request_io.rs`.
    Request(ffi::request_rec)
}

/// Setters for C fields: a copy in the request's pool, or a number.
macro_rules! setters {
    ($( $setter:ident => $name:ident : $kind:tt ),* $(,)?) => {
        $( setters!(@one $setter => $name : $kind); )*
    };
    (@one $setter:ident => $name:ident : text) => {
        #[doc = concat!("Puts a copy into `", stringify!($name), "`; `None` stores null.")]
        pub fn $setter(&self, value: Option<CText<'_>>) {
            let copy = value.map_or(std::ptr::null_mut(), |text| self.pool().strdup_text(text));
            // SAFETY: live; the copy lives as long as the request.
            unsafe { (*self.as_ptr()).$name = copy as _ }
        }
    };
    (@one $setter:ident => $name:ident : int) => {
        #[doc = concat!("Sets `", stringify!($name), "`.")]
        pub fn $setter(&self, value: c_int) {
            // SAFETY: live.
            unsafe { (*self.as_ptr()).$name = value as _ }
        }
    };
}

/// A live table field: httpd may replace the table during a request, so it is read at each use.
macro_rules! tables {
    ($($name:ident),* $(,)?) => { $(
        #[doc = concat!("The table `", stringify!($name), "`, as it is now.")]
        #[inline]
        pub fn $name(&self) -> &Table {
            // SAFETY: httpd sets the table before any hook runs.
            unsafe { Table::from_raw((*self.as_ptr()).$name) }
        }
    )* };
}

/// The parts of `apr_uri_t` that Python sees.
pub struct ParsedUri<'a> {
    pub texts: [Option<&'a CStr>; 8],
    /// `None` when the URI named no port.
    pub port: Option<u16>,
}

impl Request {
    fields! {
        the_request: text, protocol: text, hostname: text, status_line: text, method: text,
        range: text, content_type: text, handler: text, content_encoding: text,
        vlist_validator: text, user: text, ap_auth_type: text, unparsed_uri: text, uri: text,
        filename: text, canonical_filename: text, path_info: text, args: text, log_id: text,
        useragent_ip: text,
        assbackwards: int, proxyreq: int, header_only: int, proto_num: int, request_time: int,
        status: int, method_number: int, allowed: int, sent_bodyct: int, bytes_sent: int,
        mtime: int, clength: int, chunked: int, read_body: int, read_chunked: int,
        expecting_100: int, remaining: int, read_length: int, used_path_info: int, eos_sent: int,
        no_cache: int, no_local_copy: int,
    }
    setters! {
        set_status_line => status_line: text, set_handler => handler: text, set_user => user: text,
        set_ap_auth_type => ap_auth_type: text, set_uri => uri: text,
        set_filename => filename: text, set_canonical_filename => canonical_filename: text,
        set_path_info => path_info: text, set_args => args: text,
        set_assbackwards => assbackwards: int, set_proxyreq => proxyreq: int,
        set_status => status: int, set_chunked => chunked: int, set_no_cache => no_cache: int,
        set_no_local_copy => no_local_copy: int, set_used_path_info => used_path_info: int,
    }
    tables! { headers_in, headers_out, err_headers_out, subprocess_env, notes }

    /// `filename` as C has it; its string lives as long as the request.
    #[inline]
    pub fn filename_ptr(&self) -> *const c_char {
        // SAFETY: live.
        unsafe { (*self.as_ptr()).filename }
    }

    /// Whether `handler` is a name; most requests are another's, and their first letter tells.
    #[inline(always)]
    fn is_for(&self, name: &CStr) -> bool {
        // SAFETY: null or a C string.
        unsafe {
            let handler = (*self.as_ptr()).handler;
            !handler.is_null()
                && *handler == *name.as_ptr()
                && libc::strcmp(handler, name.as_ptr()) == 0
        }
    }

    /// Whether `handler` is one of our names.
    #[inline]
    pub fn is_for_python(&self) -> bool {
        self.is_for(c"mod_python") || self.is_for(c"python-program")
    }

    /// Whether `handler` is our status page, and the client wants to read it.
    #[inline]
    pub fn is_for_python_status(&self) -> bool {
        // SAFETY: a live request.
        self.is_for(c"python-status")
            && unsafe { (*self.as_ptr()).method_number } == ffi::M_GET as c_int
    }

    /// The request's pool.
    #[inline]
    pub fn pool(&self) -> &Pool {
        // SAFETY: a live request has a pool.
        unsafe { Pool::from_raw((*self.as_ptr()).pool) }
    }

    /// The connection it came on.
    #[inline]
    pub fn connection(&self) -> &Conn {
        // SAFETY: always set.
        unsafe { Conn::from_raw((*self.as_ptr()).connection) }
    }

    /// The virtual host it is for.
    #[inline]
    pub fn server(&self) -> &Server {
        // SAFETY: always set.
        unsafe { Server::from_raw((*self.as_ptr()).server) }
    }

    /// The request this one was redirected to.
    pub fn next(&self) -> Option<&Request> {
        // SAFETY: null or live while this one is.
        unsafe { Self::from_raw_opt((*self.as_ptr()).next) }
    }

    /// The request this one was redirected from.
    pub fn prev(&self) -> Option<&Request> {
        // SAFETY: as above.
        unsafe { Self::from_raw_opt((*self.as_ptr()).prev) }
    }

    /// The main request of a sub-request.
    pub fn main(&self) -> Option<&Request> {
        // SAFETY: as above.
        unsafe { Self::from_raw_opt((*self.as_ptr()).main) }
    }

    /// Whether it is neither a sub-request nor the target of a redirect.
    pub fn is_initial(&self) -> bool {
        // SAFETY: live.
        unsafe { ffi::is_initial_req(self.as_ptr()) }
    }

    /// Our merged per-directory configuration; null where no Python directive is in scope.
    #[inline]
    pub fn dir_config(&self) -> *mut c_void {
        // SAFETY: live; our module is registered.
        unsafe { ffi::get_module_config((*self.as_ptr()).per_dir_config, ffi::module_record()) }
    }

    /// Our record about this request; null before [`Self::set_module_config`].
    #[inline]
    pub fn module_config(&self) -> *mut c_void {
        // SAFETY: as above.
        unsafe { ffi::get_module_config((*self.as_ptr()).request_config, ffi::module_record()) }
    }

    /// Stores our record about this request.
    #[inline]
    #[expect(
        clippy::not_unsafe_ptr_arg_deref,
        reason = "the address is stored, not followed"
    )]
    pub fn set_module_config(&self, value: *mut c_void) {
        // SAFETY: as above.
        unsafe {
            ffi::set_module_config((*self.as_ptr()).request_config, ffi::module_record(), value)
        }
    }

    /// Extension methods in `allowed_methods`; the standard ones are bits of `allowed`.
    pub fn allowed_methods(&self) -> Vec<&CStr> {
        // SAFETY: httpd makes the list with the request; its array holds strings.
        unsafe {
            let list = (*self.as_ptr()).allowed_methods;
            if list.is_null() {
                Vec::new()
            } else {
                array::strings((*list).method_list)
            }
        }
    }

    /// `allowed_xmethods`.
    pub fn allowed_xmethods(&self) -> Vec<&CStr> {
        // SAFETY: null or an array of strings.
        unsafe { array::strings((*self.as_ptr()).allowed_xmethods) }
    }

    /// `content_languages`.
    pub fn content_languages(&self) -> Vec<&CStr> {
        // SAFETY: null or an array of strings.
        unsafe { array::strings((*self.as_ptr()).content_languages) }
    }

    /// The address of the user agent, as mod_remoteip or the connection tells.
    pub fn useragent_addr(&self) -> (String, u16) {
        // SAFETY: null or a live address.
        unsafe { super::conn::address((*self.as_ptr()).useragent_addr) }
    }

    /// The parts of the request line's URI.
    pub fn parsed_uri(&self) -> ParsedUri<'_> {
        // SAFETY: the record is part of the request; its strings live in the pool.
        unsafe {
            let uri = std::ptr::addr_of!((*self.as_ptr()).parsed_uri);
            let text = |p: *mut c_char| super::text::from_ptr(p);
            ParsedUri {
                texts: [
                    text((*uri).scheme),
                    text((*uri).hostinfo),
                    text((*uri).user),
                    text((*uri).password),
                    text((*uri).hostname),
                    text((*uri).path),
                    text((*uri).query),
                    text((*uri).fragment),
                ],
                port: if (*uri).port_str.is_null() {
                    None
                } else {
                    Some((*uri).port)
                },
            }
        }
    }

    /// A copy of what httpd knows of the file.
    pub fn finfo(&self) -> Finfo {
        // SAFETY: part of the live request.
        unsafe { Finfo::copy(std::ptr::addr_of!((*self.as_ptr()).finfo)) }
    }

    /// Replaces what httpd knows of the file.
    pub fn set_finfo(&self, finfo: &Finfo) {
        // SAFETY: live; names are copied into the request's pool.
        unsafe {
            let f = std::ptr::addr_of_mut!((*self.as_ptr()).finfo);
            (*f).pool = (*self.as_ptr()).pool;
            (*f).valid = finfo.valid;
            (*f).filetype = finfo.filetype as _;
            (*f).protection = finfo.protection;
            (*f).user = finfo.user;
            (*f).group = finfo.group;
            (*f).inode = finfo.inode as _;
            (*f).device = finfo.device as _;
            (*f).nlink = finfo.nlink;
            (*f).size = finfo.size;
            (*f).atime = finfo.atime;
            (*f).mtime = finfo.mtime;
            (*f).ctime = finfo.ctime;
            let copy = |name: &Option<std::ffi::CString>| {
                name.as_ref()
                    .map_or(std::ptr::null_mut(), |n| self.pool().strdup(n.as_bytes()))
            };
            (*f).fname = copy(&finfo.fname);
            (*f).name = copy(&finfo.name);
        }
    }

    /// `ap_set_content_type`.
    pub fn set_content_type(&self, value: CText<'_>) {
        let copy = self.pool().strdup_text(value);
        // SAFETY: live; the copy lives as long as the request.
        unsafe { ffi::ap_set_content_type(self.as_ptr(), copy) }
    }

    /// `ap_set_content_length`.
    pub fn set_content_length(&self, length: i64) {
        // SAFETY: live.
        unsafe { ffi::ap_set_content_length(self.as_ptr(), length) }
    }

    /// `ap_add_common_vars`.
    pub fn add_common_vars(&self) {
        // SAFETY: live.
        unsafe { ffi::ap_add_common_vars(self.as_ptr()) }
    }

    /// The variables of `ap_add_common_vars` in a table of their own.
    ///
    /// httpd overlaps them with what `subprocess_env` holds, which costs twice as much as finding them.
    /// To an empty table it only appends.
    pub fn common_vars(&self) -> &Table {
        let table = Table::make(self.pool(), 24 + self.headers_in().len() as i32);
        // SAFETY: live; the request's own table is put back at once.
        unsafe {
            let r = self.as_ptr();
            let own = (*r).subprocess_env;
            (*r).subprocess_env = table.as_ptr();
            ffi::ap_add_common_vars(r);
            (*r).subprocess_env = own;
        }
        table
    }

    /// `ap_find_path_info`: how much of `uri` is not `path_info`.
    pub fn find_path_info(&self, uri: &CStr, path_info: &CStr) -> usize {
        // SAFETY: two C strings.
        unsafe { ffi::ap_find_path_info(uri.as_ptr(), path_info.as_ptr()) as usize }
    }

    /// `AuthName` in scope.
    pub fn auth_name(&self) -> Option<&CStr> {
        // SAFETY: live; the text lives in the configuration.
        unsafe { super::text::from_ptr(ffi::ap_auth_name(self.as_ptr())) }
    }

    /// `AuthType` in scope.
    pub fn auth_type(&self) -> Option<&CStr> {
        // SAFETY: as above.
        unsafe { super::text::from_ptr(ffi::ap_auth_type(self.as_ptr())) }
    }

    /// `ap_note_basic_auth_failure`: the challenge that goes with a 401.
    pub fn note_basic_auth_failure(&self) {
        // SAFETY: live.
        unsafe { ffi::ap_note_basic_auth_failure(self.as_ptr()) }
    }

    /// `ap_get_basic_auth_pw`; also sets `user` and `ap_auth_type`.
    pub fn get_basic_auth_pw(&self) -> Option<&CStr> {
        let mut password: *const c_char = std::ptr::null();
        // SAFETY: live; httpd stores a string of the request's pool.
        unsafe {
            if ffi::ap_get_basic_auth_pw(self.as_ptr(), &mut password) != 0 {
                return None;
            }
            super::text::from_ptr(password)
        }
    }

    /// `ap_construct_url`.
    pub fn construct_url(&self, uri: &CStr) -> &CStr {
        // SAFETY: the result lives in the request's pool.
        unsafe {
            CStr::from_ptr(ffi::ap_construct_url(
                self.pool().as_ptr(),
                uri.as_ptr(),
                self.as_ptr(),
            ))
        }
    }

    /// `ap_document_root`.
    pub fn document_root(&self) -> Option<&CStr> {
        // SAFETY: live; the text lives in the configuration.
        unsafe { super::text::from_ptr(ffi::ap_document_root(self.as_ptr())) }
    }

    /// `ap_get_remote_host`, which may ask the name server: the host, and whether it is an address.
    pub fn get_remote_host(&self, kind: c_int) -> (Option<&CStr>, bool) {
        let mut is_ip = 0;
        // SAFETY: live; the text lives in the connection's pool.
        unsafe {
            let conn = (*self.as_ptr()).connection;
            let config = (*self.as_ptr()).per_dir_config;
            let host = ffi::ap_get_remote_host(conn, config as *mut c_void, kind, &mut is_ip);
            (super::text::from_ptr(host), is_ip != 0)
        }
    }

    /// `ap_meets_conditions`.
    pub fn meets_conditions(&self) -> c_int {
        // SAFETY: live.
        unsafe { ffi::ap_meets_conditions(self.as_ptr()) }
    }

    /// `ap_set_etag`.
    pub fn set_etag(&self) {
        // SAFETY: live.
        unsafe { ffi::ap_set_etag(self.as_ptr()) }
    }

    /// `ap_set_last_modified`.
    pub fn set_last_modified(&self) {
        // SAFETY: live.
        unsafe { ffi::ap_set_last_modified(self.as_ptr()) }
    }

    /// `ap_update_mtime`, in microseconds.
    pub fn update_mtime(&self, mtime: i64) {
        // SAFETY: live.
        unsafe { ffi::ap_update_mtime(self.as_ptr(), mtime) }
    }

    /// Sends an interim response (1xx) with these headers, before the final one.
    pub fn send_interim_response(&self, status: c_int, headers: &[(&CStr, &CStr)]) {
        let table = Table::make(self.pool(), headers.len() as i32);
        for (name, value) in headers {
            table.add(*name, *value);
        }
        // SAFETY: live; the response's own status and headers are put back at once.
        unsafe {
            let r = self.as_ptr();
            let saved = ((*r).status, (*r).status_line, (*r).headers_out);
            (*r).status = status;
            (*r).status_line = ffi::ap_get_status_line_ex((*r).pool, status);
            (*r).headers_out = table.as_ptr();
            ffi::ap_send_interim_response(r, 1);
            ((*r).status, (*r).status_line, (*r).headers_out) = saved;
        }
    }

    /// `ap_internal_redirect`; runs the whole new request.
    pub fn internal_redirect(&self, uri: &CStr) {
        // SAFETY: live; httpd copies what it keeps of the URI.
        unsafe { ffi::ap_internal_redirect(uri.as_ptr(), self.as_ptr()) }
    }

    /// `ap_allow_methods`, after clearing the earlier ones where `reset`.
    pub fn allow_methods(&self, methods: &[&CStr], reset: bool) {
        // SAFETY: live; httpd keeps the pointer to an extension method's name, so the name is copied
        // into the request's pool.
        unsafe {
            let list = (*self.as_ptr()).allowed_methods;
            if reset {
                ffi::ap_clear_method_list(list);
            }
            for method in methods {
                let name = ffi::apr_pstrdup((*self.as_ptr()).pool, method.as_ptr());
                ffi::ap_method_list_add(list, name);
            }
        }
    }

    /// `ap_add_input_filter`; httpd logs an unknown name.
    pub fn add_input_filter(&self, name: &CStr) {
        // SAFETY: live; no context.
        unsafe {
            ffi::ap_add_input_filter(
                name.as_ptr(),
                std::ptr::null_mut(),
                self.as_ptr(),
                (*self.as_ptr()).connection,
            );
        }
    }

    /// `ap_add_output_filter`; httpd logs an unknown name.
    pub fn add_output_filter(&self, name: &CStr) {
        // SAFETY: live; no context.
        unsafe {
            ffi::ap_add_output_filter(
                name.as_ptr(),
                std::ptr::null_mut(),
                self.as_ptr(),
                (*self.as_ptr()).connection,
            );
        }
    }
}
