//! The phases of a request: their directive, default function and what lets the next handler run.

use std::ffi::CStr;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::httpd::Status;

/// A bit for each phase that a directive or `req.add_handler` named since the configuration was begun:
/// the others have nothing to run whatever the request, and one load is enough to know.
static IN_USE: AtomicU16 = AtomicU16::new(0);

/// Every phase is in use.
pub fn use_all() {
    IN_USE.store(u16::MAX, Ordering::Relaxed);
}

/// The configuration is about to be read.
pub fn reset_uses() {
    IN_USE.store(0, Ordering::Relaxed);
}

/// Whether one of these phases may have a handler.
#[inline(always)]
pub fn any_in_use<const N: usize>(phases: [Phase; N]) -> bool {
    let bits = phases.iter().fold(0, |bits, phase| bits | phase.bit());
    IN_USE.load(Ordering::Relaxed) & bits != 0
}

/// A phase that Python handlers can be configured for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
#[repr(usize)]
pub enum Phase {
    PostReadRequest,
    Trans,
    HeaderParser,
    Access,
    Authen,
    Authz,
    Type,
    Fixup,
    Handler,
    Init,
    Log,
    Cleanup,
    Connection,
    MapToStorage,
    Quick,
}

/// What is fixed about a phase.
struct Row {
    directive: &'static CStr,
    function: &'static CStr,
    goes_on: GoesOn,
}

/// The results after which the next handler of the list runs.
#[derive(Clone, Copy)]
enum GoesOn {
    OkOrDeclined,
    Declined,
    Ok,
}

const ROWS: [Row; Phase::COUNT] = [
    Row::new(
        c"PythonPostReadRequestHandler",
        c"postreadrequesthandler",
        GoesOn::OkOrDeclined,
    ),
    Row::new(c"PythonTransHandler", c"transhandler", GoesOn::Declined),
    Row::new(
        c"PythonHeaderParserHandler",
        c"headerparserhandler",
        GoesOn::OkOrDeclined,
    ),
    Row::new(
        c"PythonAccessHandler",
        c"accesshandler",
        GoesOn::OkOrDeclined,
    ),
    Row::new(c"PythonAuthenHandler", c"authenhandler", GoesOn::Declined),
    Row::new(c"PythonAuthzHandler", c"authzhandler", GoesOn::Declined),
    Row::new(c"PythonTypeHandler", c"typehandler", GoesOn::Declined),
    Row::new(c"PythonFixupHandler", c"fixuphandler", GoesOn::OkOrDeclined),
    Row::new(c"PythonHandler", c"handler", GoesOn::Ok),
    Row::new(c"PythonInitHandler", c"inithandler", GoesOn::OkOrDeclined),
    Row::new(c"PythonLogHandler", c"loghandler", GoesOn::OkOrDeclined),
    Row::new(c"PythonCleanupHandler", c"cleanuphandler", GoesOn::Ok),
    Row::new(
        c"PythonConnectionHandler",
        c"connectionhandler",
        GoesOn::Declined,
    ),
    Row::new(
        c"PythonMapToStorageHandler",
        c"maptostoragehandler",
        GoesOn::Declined,
    ),
    Row::new(c"PythonQuickHandler", c"quickhandler", GoesOn::Declined),
];

impl Row {
    const fn new(directive: &'static CStr, function: &'static CStr, goes_on: GoesOn) -> Self {
        Self {
            directive,
            function,
            goes_on,
        }
    }
}

impl Phase {
    pub const COUNT: usize = 15;

    /// All phases, in the order of their numbers.
    pub const ALL: [Phase; Self::COUNT] = [
        Self::PostReadRequest,
        Self::Trans,
        Self::HeaderParser,
        Self::Access,
        Self::Authen,
        Self::Authz,
        Self::Type,
        Self::Fixup,
        Self::Handler,
        Self::Init,
        Self::Log,
        Self::Cleanup,
        Self::Connection,
        Self::MapToStorage,
        Self::Quick,
    ];

    /// Those that PythonHandlerModule stands for. (directives.md 1.12)
    pub fn of_handler_module() -> impl Iterator<Item = Phase> {
        Self::ALL
            .into_iter()
            .filter(|phase| !matches!(phase, Self::Connection | Self::MapToStorage | Self::Quick))
    }

    /// The phase of a directive's name, for `req.add_handler`.
    pub fn from_directive(name: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|phase| phase.directive().to_bytes() == name)
    }

    #[inline(always)]
    const fn bit(self) -> u16 {
        1 << self as usize
    }

    /// There is a handler for this phase, or will be one.
    pub fn note_use(self) {
        IN_USE.fetch_or(self.bit(), Ordering::Relaxed);
    }

    /// The directive, which is also what `req.phase` says.
    pub const fn directive(self) -> &'static CStr {
        ROWS[self as usize].directive
    }

    /// The function that a handler without `::object` means.
    pub const fn default_function(self) -> &'static CStr {
        ROWS[self as usize].function
    }

    /// Whether the next handler of the list runs after this result. (phases.md 2.4.1)
    #[inline]
    pub fn goes_on(self, result: Status) -> bool {
        match ROWS[self as usize].goes_on {
            GoesOn::Ok => result == Status::OK,
            GoesOn::Declined => result == Status::DECLINED,
            GoesOn::OkOrDeclined => result == Status::OK || result == Status::DECLINED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_function_is_the_directive_without_python_in_lower_case() {
        for phase in Phase::ALL {
            let directive = phase.directive().to_str().unwrap();
            let expected = directive.strip_prefix("Python").unwrap().to_lowercase();
            assert_eq!(phase.default_function().to_str().unwrap(), expected);
            assert_eq!(Phase::from_directive(directive.as_bytes()), Some(phase));
        }
    }

    #[test]
    fn content_stops_on_declined_and_goes_on_after_ok() {
        assert!(Phase::Handler.goes_on(Status::OK));
        assert!(!Phase::Handler.goes_on(Status::DECLINED));
        assert!(Phase::Authen.goes_on(Status::DECLINED));
        assert!(!Phase::Authen.goes_on(Status::OK));
        assert!(Phase::Log.goes_on(Status::OK) && Phase::Log.goes_on(Status::DECLINED));
        assert!(!Phase::Log.goes_on(Status::FORBIDDEN));
    }
}
