//! httpd's expressions. (ap_expr.h)

use std::ffi::CStr;

use super::Request;
use crate::ffi;

/// What an expression came to.
pub enum Value {
    Bool(bool),
    Text(Vec<u8>),
}

/// Evaluates an expression for a request; `wants_text` reads it as a string with `%{...}` parts.
///
/// # Errors
/// What is wrong with the expression, in httpd's words.
pub fn evaluate(r: &Request, expression: &CStr, wants_text: bool) -> Result<Value, String> {
    let words = |raw: *const std::ffi::c_char| {
        // SAFETY: null or a string in the request's pool.
        unsafe { super::text::from_ptr(raw) }.map(|text| text.to_string_lossy().into_owned())
    };
    // SAFETY: live request; the parsed form and the result live in its pool. Names are looked up as
    // everywhere in httpd.
    unsafe {
        let mut info: ffi::ap_expr_info_t = std::mem::zeroed();
        info.module_index = (*ffi::module_record()).module_index;
        if wants_text {
            info.flags = ffi::AP_EXPR_FLAG_STRING_RESULT;
        }
        let pool = r.pool().as_ptr();
        let copy = r.pool().strdup(expression.to_bytes());
        let wrong = ffi::ap_expr_parse(
            pool,
            pool,
            &mut info,
            copy,
            Some(ffi::ap_expr_lookup_default),
        );
        if let Some(wrong) = words(wrong) {
            return Err(wrong);
        }
        let mut wrong = std::ptr::null();
        if wants_text {
            let text = ffi::ap_expr_str_exec(r.as_ptr(), &info, &mut wrong);
            return match words(wrong) {
                Some(wrong) => Err(wrong),
                None => Ok(Value::Text(
                    super::text::from_ptr(text)
                        .unwrap_or_default()
                        .to_bytes()
                        .to_vec(),
                )),
            };
        }
        let result = ffi::ap_expr_exec(r.as_ptr(), &info, &mut wrong);
        match words(wrong) {
            Some(wrong) => Err(wrong),
            None if result < 0 => Err("the expression could not be evaluated".into()),
            None => Ok(Value::Bool(result > 0)),
        }
    }
}
