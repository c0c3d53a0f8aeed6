//! What /proc tells of another process.

/// Field of /proc/PID/stat, counted from the state, which follows the name in parentheses.
const STATE: usize = 0;
const START: usize = 19;

/// The fields behind the name, which may hold anything; `None` where there is no such process, or no /proc.
fn fields(pid: u64) -> Option<Vec<String>> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_string).collect())
}

/// When a process started, in clock ticks since the machine did: with its number, what tells it from any
/// other. 0 where that is not known.
pub fn start_of(pid: u64) -> u64 {
    let started = fields(pid).and_then(|fields| fields.get(START)?.parse().ok());
    started.unwrap_or(0)
}

/// Whether there is a process of this number that started then, and it has not ended; `start` is 0 where
/// that is not known.
pub fn is_alive(pid: u64, start: u64) -> bool {
    let Ok(number) = libc::pid_t::try_from(pid) else {
        return false;
    };
    if number <= 0 {
        return false;
    }
    if start > 0 {
        if let Some(fields) = fields(pid) {
            let is_over = matches!(fields.get(STATE).map(String::as_str), Some("Z" | "X"));
            return !is_over && fields.get(START).and_then(|text| text.parse().ok()) == Some(start);
        }
    }
    // SAFETY: asks only. A process of another user is one too.
    let is_there = unsafe { libc::kill(number, 0) == 0 };
    is_there || std::io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

/// Resident memory of a process, in bytes.
pub fn memory(pid: u64) -> Option<u64> {
    resident(&std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?)
}

/// Resident memory in bytes, as a process's `statm` tells it.
pub fn resident(statm: &str) -> Option<u64> {
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    // SAFETY: a plain question.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    pages.checked_mul(u64::try_from(page).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_its_number_and_its_start() {
        let me = u64::from(std::process::id());
        let start = start_of(me);
        assert!(start > 0);
        assert!(is_alive(me, start) && is_alive(me, 0));
        assert!(!is_alive(me, start + 1));
        assert!(!is_alive(0, 0) && !is_alive(u64::MAX, 0));
        assert!(memory(me).unwrap() > 1 << 20);
    }

    #[test]
    fn a_process_that_nobody_has_waited_for_is_not_alive() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = u64::from(child.id());
        let start = start_of(pid);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while is_alive(pid, start) {
            assert!(std::time::Instant::now() < deadline);
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert!(memory(pid).is_none_or(|bytes| bytes == 0));
        child.wait().unwrap();
        assert!(!is_alive(pid, start));
    }
}
