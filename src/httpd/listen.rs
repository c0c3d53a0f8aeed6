//! Which servers the listening sockets lead to. (ap_listen.h, http_vhost.h)

use super::conn::address;
use super::Server;
use crate::ffi;

/// Whether some listening socket may lead to the main server: none does where virtual hosts such as
/// `<VirtualHost *:80>` claim them all.
pub fn reaches_main_server(main: &Server) -> bool {
    // SAFETY: httpd's list of listeners and the servers' addresses live as long as the configuration.
    unsafe {
        let mut listener = ffi::ap_listeners;
        if listener.is_null() {
            return true;
        }
        while !listener.is_null() {
            let address = (*listener).bind_addr;
            if address.is_null() || !is_claimed(main, address) {
                return true;
            }
            listener = (*listener).next;
        }
    }
    false
}

/// # Safety
/// `listener` is a live address.
unsafe fn is_claimed(main: &Server, listener: *mut ffi::apr_sockaddr_t) -> bool {
    std::iter::successors(main.next(), |server| server.next()).any(|server| {
        // SAFETY: a live server; addresses live as long as it.
        unsafe {
            let mut claim = (*server.as_ptr()).addrs;
            while !claim.is_null() {
                let (host, port) = ((*claim).host_addr, (*claim).host_port);
                if !host.is_null() && (port == 0 || port == (*listener).port) {
                    let host = address(host).0;
                    if matches!(host.as_str(), "0.0.0.0" | "::") || host == address(listener).0 {
                        return true;
                    }
                }
                claim = (*claim).next;
            }
            false
        }
    })
}
